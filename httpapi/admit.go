package httpapi

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search/wire"
)

// reach says whose points a route may come to, and so what a caller that is bound to a tenant may do with it.
type reach uint8

const (
	reachesAll    reach = iota // those of all tenants, or what they share: never for one that is bound
	reachesBody                // those of the tenant in the body, which decode holds to the caller's
	reachesQuery               // those of the tenant in the query string
	reachesHeader              // none; the tenant in a header pays
	reachesNone                // none
)

// admit finds out who asks, and refuses those who may not. The request that it returns knows its caller,
// and is for the caller's tenant where that is bound to one.
func (s *server) admit(w *recorder, rt route, r *http.Request) (*http.Request, error) {
	if rt.local {
		if err := onThisMachine(r); err != nil {
			return r, err
		}
	}
	switch {
	case rt.open:
		return r, nil
	case s.access == nil && !s.anyName && !ownName(r.Host):
		return r, fault.New(fault.Forbidden, "this server has no keys, and answers to its address or localhost only, not to %q", r.Host)
	case s.access == nil:
		return r, nil
	}
	token := tokenOf(r.Header)
	if token == "" {
		return r, fault.New(fault.Unauthorized, "give a key: Authorization: Bearer KEY")
	}
	caller, err := s.access.Identify(r.Context(), token)
	if err != nil {
		return r, err
	}
	w.caller = caller.Name
	if err := caller.Need(rt.scope); err != nil {
		return r, err
	}
	r = r.WithContext(access.With(r.Context(), caller))
	if caller.Tenant == "" {
		return r, nil
	}
	return r, rt.reach.bind(r, caller)
}

// tokenOf returns what a client shows; the header that is made for it counts more.
func tokenOf(h http.Header) string {
	if scheme, token, ok := strings.Cut(h.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return token
	}
	return h.Get("X-Api-Key")
}

// bind holds a request to its caller's tenant, wherever the route has the tenant. It may change r, which is the caller's own.
func (to reach) bind(r *http.Request, caller access.Caller) error {
	switch to {
	case reachesBody, reachesNone:
		return nil
	case reachesQuery:
		query := r.URL.Query()
		if err := bindAll(caller, query["tenant"], "tenant"); err != nil {
			return err
		}
		query.Set("tenant", caller.Tenant)
		u := *r.URL
		u.RawQuery = query.Encode()
		r.URL = &u
		return nil
	case reachesHeader:
		if err := bindAll(caller, r.Header.Values(headerTenant), headerTenant); err != nil {
			return err
		}
		r.Header = r.Header.Clone()
		r.Header.Set(headerTenant, caller.Tenant)
		return nil
	default:
		return fault.New(fault.Forbidden, "the key is bound to a tenant, and %s reaches further", r.URL.Path)
	}
}

// bindAll refuses values of which one is not the caller's tenant.
func bindAll(caller access.Caller, values []string, field string) error {
	for _, v := range values {
		if _, err := caller.TenantOf(v, field); err != nil {
			return err
		}
	}
	return nil
}

// bindBody holds a body to the tenant of a request's caller, and returns the tenants that it is for. A body
// that it does not know is refused to such a caller: it might name points of any tenant.
func bindBody(r *http.Request, body any) (tenants []string, err error) {
	caller := access.From(r.Context())
	fields, known := tenantsOf(body)
	if !known && caller.Tenant != "" {
		return nil, fault.New(fault.Forbidden, "the key is bound to a tenant, and %s reaches further", r.URL.Path)
	}
	for i, tenant := range fields {
		at := "/tenant"
		if _, batch := body.(*wire.BatchRequest); batch {
			at = "/queries/" + strconv.Itoa(i) + "/tenant"
		}
		if err := bindField(caller, tenant, at); err != nil {
			return nil, err
		}
		tenants = append(tenants, *tenant)
	}
	return tenants, nil
}

// tenantsOf points to the tenants of a body, where it is known which these are.
func tenantsOf(body any) (fields []*string, known bool) {
	switch b := body.(type) {
	case *wire.SearchRequest:
		return []*string{&b.Tenant}, true
	case *wire.AnswerRequest:
		return []*string{&b.Tenant}, true
	case *wire.UpsertRequest:
		return []*string{&b.Tenant}, true
	case *wire.DeleteRequest:
		return []*string{&b.Tenant}, true
	case *wire.ScrollRequest:
		return []*string{&b.Tenant}, true
	case *wire.CountRequest:
		return []*string{&b.Tenant}, true
	case *wire.BatchRequest:
		for i := range b.Queries {
			fields = append(fields, &b.Queries[i].Tenant)
		}
		return fields, true
	case *rerankRequest:
		return nil, true
	}
	return nil, false
}

// bindField sets a tenant to the caller's.
func bindField(caller access.Caller, tenant *string, field string) (err error) {
	*tenant, err = caller.TenantOf(*tenant, field)
	return err
}

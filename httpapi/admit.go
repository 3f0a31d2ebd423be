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

// bindBody holds a body to the tenant of a request's caller. A body that it does not know is refused:
// it might name points of any tenant.
func bindBody(r *http.Request, body any) error {
	caller := access.From(r.Context())
	if caller.Tenant == "" {
		return nil
	}
	switch b := body.(type) {
	case *wire.SearchRequest:
		return bindField(caller, &b.Tenant, "/tenant")
	case *wire.AnswerRequest:
		return bindField(caller, &b.Tenant, "/tenant")
	case *wire.UpsertRequest:
		return bindField(caller, &b.Tenant, "/tenant")
	case *wire.DeleteRequest:
		return bindField(caller, &b.Tenant, "/tenant")
	case *wire.ScrollRequest:
		return bindField(caller, &b.Tenant, "/tenant")
	case *wire.CountRequest:
		return bindField(caller, &b.Tenant, "/tenant")
	case *wire.BatchRequest:
		return bindBatch(caller, b)
	case *rerankRequest:
		return nil
	}
	return fault.New(fault.Forbidden, "the key is bound to a tenant, and %s reaches further", r.URL.Path)
}

func bindBatch(caller access.Caller, b *wire.BatchRequest) error {
	for i := range b.Queries {
		if err := bindField(caller, &b.Queries[i].Tenant, "/queries/"+strconv.Itoa(i)+"/tenant"); err != nil {
			return err
		}
	}
	return nil
}

// bindField sets a tenant to the caller's.
func bindField(caller access.Caller, tenant *string, field string) (err error) {
	*tenant, err = caller.TenantOf(*tenant, field)
	return err
}

package metrics

import (
	"crypto/x509"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/lanewise/lanewise/fault"
)

// Proxy is what the API server shows of itself when it passes a request on. Without a CA
// nobody is believed.
type Proxy struct {
	CA          *x509.CertPool // that has signed its client certificate
	Names       []string       // common names of that certificate; none: any
	UserHeaders []string       // that carry the user's name. Default X-Remote-User
}

// ParseProxy reads the data of the ConfigMap extension-apiserver-authentication in the
// namespace kube-system, in which the API server says how it shows itself. Its error is
// fault.Invalid.
func ParseProxy(data map[string]string) (Proxy, error) {
	p := Proxy{CA: x509.NewCertPool()}
	const ca = "requestheader-client-ca-file"
	if !p.CA.AppendCertsFromPEM([]byte(data[ca])) {
		return p, fault.New(fault.Invalid, "%s: holds no certificate in PEM; the API server runs without an aggregation layer", ca)
	}
	for key, into := range map[string]*[]string{
		"requestheader-allowed-names":    &p.Names,
		"requestheader-username-headers": &p.UserHeaders,
	} {
		if data[key] == "" {
			continue
		}
		if err := json.Unmarshal([]byte(data[key]), into); err != nil {
			return p, fault.Wrap(fault.Invalid, key, err)
		}
	}
	return p, nil
}

// user returns the name of the user for whom the API server asks. Its error is
// fault.Unauthorized where nobody vouches for the request, fault.Forbidden where the
// certificate is another's, and fault.Unavailable without a CA.
func (p Proxy) user(r *http.Request) (string, error) {
	if p.CA == nil { // x509 would take the system's
		return "", fault.New(fault.Unavailable, "it is not known yet how the API server shows itself")
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return "", fault.New(fault.Unauthorized, "no client certificate: this API is asked through the API server of the cluster")
	}
	cert := r.TLS.PeerCertificates[0]
	between := x509.NewCertPool()
	for _, c := range r.TLS.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := cert.Verify(x509.VerifyOptions{Roots: p.CA, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return "", fault.Wrap(fault.Unauthorized, "client certificate", err)
	}
	if len(p.Names) > 0 && !slices.Contains(p.Names, cert.Subject.CommonName) {
		return "", fault.New(fault.Forbidden, "client certificate: %q is none of the API server's names", cert.Subject.CommonName)
	}
	headers := p.UserHeaders
	if len(headers) == 0 {
		headers = []string{"X-Remote-User"}
	}
	for _, h := range headers {
		if user := r.Header.Get(h); user != "" {
			return user, nil
		}
	}
	return "", fault.New(fault.Unauthorized, "no user in the header %s", headers[0])
}

package config

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/internal/selfsigned"
	"github.com/lanewise/lanewise/internal/watched"
)

func TestKeys_textsAndObjects(t *testing.T) {
	digest, _ := access.DigestOf("hidden").MarshalText()
	c, err := parse("f.yaml", []byte(shard+`keys:
  - plain
  - {name: site, sha256: "`+string(digest)+`", scopes: [search], tenant: acme}
  - {key: writer, scopes: [write]}
  - {key: bound, tenant: t}
listen: 0.0.0.0:80
`), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	g, err := c.gate(nil)
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]access.Caller{
		"plain": {Name: "keys/0", Scopes: access.All}, "hidden": {Name: "site", Scopes: access.Search, Tenant: "acme"},
		"writer": {Name: "keys/2", Scopes: access.Write}, "bound": {Name: "keys/3", Scopes: access.Search | access.Answer | access.Embed | access.Write, Tenant: "t"},
		"acme": {}, string(digest): {},
	} {
		if got, err := g.Identify(t.Context(), token); got != want || (err == nil) != (want != access.Caller{}) {
			t.Errorf("%s: %+v, %v", token, got, err)
		}
	}
	if got := c.AdminKey(); got != "plain" {
		t.Errorf("the operator's key is %q", got)
	}
	if text, err := c.YAML(); err != nil || strings.Contains(text, "writer") || strings.Contains(text, "plain") {
		t.Errorf("the secrets show: %v %s", err, text)
	}
}

func TestAccess_refusesWhatLetsEverybodyIn(t *testing.T) {
	for src, want := range map[string]string{
		"listen: 0.0.0.0:80\n":                                       "listen: \"0.0.0.0:80\" is reached from other machines",
		"listen: ':80'\n":                                            "is reached from other machines",
		"listen: example.org:80\n":                                   "is reached from other machines",
		"keys: ['']\n":                                               "keys[0]: is empty",
		"keys: [{name: a}]\n":                                        "keys[0]: is empty",
		"keys: [{key: a, scopes: [serach]}]\n":                       "there is no scope",
		"keys: [{key: a, scopes: []}]\n":                             "has no scopes",
		"keys: [{key: a, sha256: '12'}]\n":                           "cannot stand beside key",
		"keys: [{sha256: '12'}]\n":                                   "64 hexadecimal digits",
		"keys: [{key: a, tenant: t, scopes: [admin]}]\n":             "reach all tenants",
		"keys: [{key: a, name: n}, {key: b, name: n}]\n":             "keys[1].name",
		"jwt: {leeway: -1s, algorithms: [none, HS256]}\n":            "jwt.algorithms[1]: is none of RS256",
		"jwt: {file: a, issuer: b}\n":                                "jwt.audience: missing",
		"jwt: {issuer: b}\n":                                         "jwt.file: missing",
		"listen: 0.0.0.0:80\njwt: {file: a, issuer: b, audience: c}": "",
		"tls: {cert: a}\n":                                           "needs both cert and key",
		"tls: {client_ca: a}\n":                                      "no meaning without cert and key",
		"listen: 0.0.0.0:80\nopen: true\n":                           "",
		"listen: 0.0.0.0:80\nkeys: [k]\n":                            "",
		"listen: 0.0.0.0:80\nkeys_file: k\n":                         "",
		"listen: 0.0.0.0:80\ntls: {cert: a, key: b, client_ca: c}":   "",
		"listen: '[::1]:80'\n":                                       "",
		"listen: localhost:80\n":                                     "",
	} {
		_, err := parse("f.yaml", []byte(shard+src), noEnv)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", src, err, want)
		}
	}
}

// A page of a foreign site that has its name resolved to this machine reaches nothing.
func TestBuild_answersToItsOwnNamesOnly(t *testing.T) {
	ask := func(c *Config, name string) int {
		r, err := http.NewRequestWithContext(t.Context(), "GET", host(t, build(t, c))+"/v1/collections", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = name
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	open := Local(t.TempDir())
	open.Open = true
	for name, want := range map[string]int{"evil.example": 403, "evil.example:8080": 403, "localhost:1": 200, "127.0.0.1": 200, "[::1]:8": 200} {
		if got := ask(Local(t.TempDir()), name); got != want {
			t.Errorf("called %s: %d, want %d", name, got, want)
		}
	}
	if got := ask(open, "evil.example"); got != 200 {
		t.Errorf("an open server called by a name: %d", got)
	}
}

// certificate writes one of a name, signed by itself, with its key, and returns it.
func certificate(t *testing.T, name, cert, key string) *x509.Certificate {
	t.Helper()
	c := selfsigned.Make(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	selfsigned.Write(t, c, cert, key)
	return c.Leaf
}

// tlsFiles are those of a server, in a folder of their own.
func tlsFiles(t *testing.T) serverTLS {
	t.Helper()
	dir := t.TempDir()
	return serverTLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
}

func TestServe_withCertificates(t *testing.T) {
	files := tlsFiles(t)
	files.ClientCA = files.Cert + ".ca"
	root := certificate(t, "server", files.Cert, files.Key)
	certificate(t, "client", files.ClientCA, files.ClientCA+".key")
	pair, err := tls.LoadX509KeyPair(files.ClientCA, files.ClientCA+".key")
	if err != nil {
		t.Fatal(err)
	}
	s := build(t, &Config{Store: t.TempDir(), TLS: files, Listen: "0.0.0.0:0"})
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's listener
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Serve(ctx, l) }()
	get := func(certs ...tls.Certificate) (protocol string, err error) {
		pool := x509.NewCertPool()
		pool.AddCert(root)
		transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certs}}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get("https://" + l.Addr().String() + "/healthz") //nolint:noctx // a test
		if err != nil {
			return "", err
		}
		return resp.Proto, resp.Body.Close()
	}
	if got, err := get(pair); err != nil || got != "HTTP/2.0" {
		t.Errorf("with a certificate: %s, %v", got, err)
	}
	if got, err := get(); err == nil {
		t.Errorf("without a certificate: %s", got)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A router shows its replica a certificate, trusts the one that vouches for it, and expects the name that it is told to.
func TestReplica_overTLS(t *testing.T) {
	files := tlsFiles(t)
	files.ClientCA = files.Cert + ".ca"
	certificate(t, "replica.internal", files.Cert, files.Key)
	certificate(t, "router", files.ClientCA, files.ClientCA+".key")
	replica := build(t, &Config{Store: t.TempDir(), TLS: files})
	url := "https://localhost" + strings.TrimPrefix(served(t, replica), "127.0.0.1")
	good := Replica{URL: url, CA: files.Cert, ClientCert: files.ClientCA, ClientKey: files.ClientCA + ".key", ServerName: "replica.internal"}
	for name, c := range map[string]struct {
		change func(*Replica)
		works  bool
	}{
		"as it should be": {func(*Replica) {}, true},
		"no certificate":  {func(r *Replica) { r.ClientCert, r.ClientKey = "", "" }, false},
		"another's":       {func(r *Replica) { r.ClientCert, r.ClientKey = files.Cert, files.Key }, false},
		"another name":    {func(r *Replica) { r.ServerName = "" }, false},
		"nobody vouches":  {func(r *Replica) { r.CA = "" }, false},
	} {
		r := good
		c.change(&r)
		store, err := openServer(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Stats(t.Context(), ""); (err == nil) != c.works {
			t.Errorf("%s: %v", name, err)
		}
		_ = store.Close()
	}
	for src, want := range map[string]string{
		"{url: 'https://a', client_cert: c}":                "client_cert: and client_key belong together",
		"{url: 'http://a', server_name: c}":                 "no meaning without https",
		"{path: a, server_name: c}":                         "for lanewise servers only",
		"{url: 'https://a', client_cert: c, client_key: k}": "",
	} {
		_, err := parse("f.yaml", []byte("shards: [{name: s0, replicas: ["+src+"]}]\n"), noEnv)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", src, err, want)
		}
	}
	if end := replica.observed().Certificates["tls.cert"]; time.Until(end) <= 0 {
		t.Errorf("the metrics tell that the certificate ends at %v", end)
	}
	if _, err := openServer(Replica{URL: url, ClientCert: "none", ClientKey: "none"}, nil); err == nil {
		t.Error("a certificate that is not there was read")
	}
}

// A program on the server's machine trusts the server's own certificate and no other.
func TestLocalTLS(t *testing.T) {
	files, others := tlsFiles(t), tlsFiles(t)
	certificate(t, "lanewise.example", files.Cert, files.Key)
	certificate(t, "lanewise.example", others.Cert, others.Key)
	files.ClientCA, others.ClientCA = files.Cert, files.Cert
	address := served(t, build(t, &Config{Store: t.TempDir(), TLS: files}))
	for _, c := range []struct {
		files serverTLS
		works bool
	}{{files, true}, {others, false}} {
		scheme, secure, err := (&Config{TLS: c.files}).LocalTLS()
		if err != nil || scheme != "https" {
			t.Fatal(scheme, err)
		}
		transport := &http.Transport{TLSClientConfig: secure}
		resp, err := (&http.Client{Transport: transport}).Get("https://" + address + "/healthz") //nolint:noctx // a test
		if (err == nil) != c.works {
			t.Errorf("%v", err)
		}
		if err == nil {
			_ = resp.Body.Close()
		}
		transport.CloseIdleConnections()
	}
	if scheme, secure, err := (&Config{}).LocalTLS(); scheme != "http" || secure != nil || err != nil {
		t.Error(scheme, secure, err)
	}
}

// The next connection gets the new certificate; one that cannot be read changes nothing.
func TestTLS_followsItsFiles(t *testing.T) {
	files := tlsFiles(t)
	if _, err := files.open(nil); err == nil {
		t.Error("files that are not there were read")
	}
	certificate(t, "before", files.Cert, files.Key)
	synctest.Test(t, func(t *testing.T) {
		c, err := files.open(nil)
		if err != nil {
			t.Fatal(err)
		}
		expect := func(want string) {
			t.Helper()
			time.Sleep(watched.Every)
			now, err := c.GetConfigForClient(nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := now.Certificates[0].Leaf.Subject.CommonName; got != want {
				t.Errorf("the certificate is of %s, want %s", got, want)
			}
		}
		expect("before")
		for _, file := range []string{files.Cert, files.Key} { // a new file, since this bubble's clock is not the disk's
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		certificate(t, "after the change", files.Cert, files.Key)
		expect("after the change")
		if err := os.WriteFile(files.Key, []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
		expect("after the change")
	})
}

package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/watched"
)

// open reads the files and returns what a listener needs; nil where it is not to be encrypted. Each
// new connection gets what the files say then; one that is open keeps what it began with.
func (t serverTLS) open(log *slog.Logger) (*tls.Config, error) {
	if t.Cert == "" {
		return nil, nil //nolint:nilnil // documented
	}
	files := []string{t.Cert, t.Key}
	if t.ClientCA != "" {
		files = append(files, t.ClientCA)
	}
	current, err := watched.New(log, t.read, files...)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return current.Get(), nil },
	}, nil
}

// LocalTLS returns how a program on the server's own machine speaks to it: the scheme and, where that is https, its
// settings. It trusts the one certificate that the file names, whatever name that is for, and shows the same one where
// clients have to show theirs.
func (c *Config) LocalTLS() (scheme string, _ *tls.Config, err error) {
	if c.TLS.Cert == "" {
		return "http", nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key)
	if err != nil {
		return "", nil, fault.Wrap(fault.Invalid, "read the server's certificate", err)
	}
	out := &tls.Config{
		MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, //nolint:gosec // no name is verified: it must be this very certificate
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || !bytes.Equal(s.PeerCertificates[0].Raw, pair.Certificate[0]) {
				return fault.New(fault.Refused, "what answers here shows another certificate than %s", c.TLS.Cert)
			}
			return nil
		},
	}
	if c.TLS.ClientCA != "" {
		out.Certificates = []tls.Certificate{pair}
	}
	return "https", out, nil
}

// read makes a listener's settings of what the files say now.
func (t serverTLS) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "read the server's certificate", err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{pair}}
	if t.ClientCA == "" {
		return c, nil
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	if c.ClientCAs, err = certPool(t.ClientCA); err != nil {
		return nil, fmt.Errorf("read tls.client_ca: %w", err)
	}
	return c, nil
}

// certPool reads the certificates of a file.
func certPool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file) //nolint:gosec // the file that the operator names
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.New(fault.Invalid, "%s holds no certificate in PEM", file)
	}
	return pool, nil
}

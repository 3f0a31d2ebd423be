package client

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"github.com/lanewise/lanewise/fault"
)

// Certificates are files in PEM by which a client and a server know each other.
type Certificates struct {
	CA        string // of those that vouch for the server; empty: the system's
	Cert, Key string // to show to the server; empty: none
}

// Open reads the files. Without any it returns nil, which stands for the system's settings.
func (c Certificates) Open() (*tls.Config, error) {
	if c == (Certificates{}) {
		return nil, nil //nolint:nilnil // documented
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, "--cacert", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fault.New(fault.Invalid, "--cacert: %s holds no certificate in PEM", c.CA)
		}
	}
	if (c.Cert == "") != (c.Key == "") {
		return nil, fault.New(fault.Invalid, "--cert and --key belong together")
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, "--cert and --key", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

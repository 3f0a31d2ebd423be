package milvus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/selfsigned"
)

func TestNew_sendsCredentials(t *testing.T) {
	for want, c := range map[string]Config{"the key": {Key: "the key"}, "me:secret": {User: "me", Password: "secret", Database: "other"}} {
		var got []string
		f := &fake{search: func(ctx context.Context, _ *milvuspb.SearchRequest) (*milvuspb.SearchResults, error) {
			md, _ := metadata.FromIncomingContext(ctx)
			for _, v := range md.Get("authorization") {
				plain, err := base64.StdEncoding.DecodeString(v)
				got = append(got, string(plain))
				if err != nil {
					t.Error(err)
				}
			}
			if db := md.Get("dbname"); c.Database != "" && (len(db) != 1 || db[0] != c.Database) {
				t.Errorf("the database is %q", db)
			}
			return found(1, []int64{0}, nil, nil), nil
		}}
		if _, err := serve(t, f, c).Search(t.Context(), query); err != nil {
			t.Error(err)
		}
		if len(got) != 1 || got[0] != want {
			t.Errorf("the server got %q, want %q", got, want)
		}
	}
}

func TestNew_trustsACustomAuthority(t *testing.T) {
	cert, roots := authority(t)
	f := &fake{search: func(context.Context, *milvuspb.SearchRequest) (*milvuspb.SearchResults, error) {
		return found(1, []int64{0}, nil, nil), nil
	}}
	secure := grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}))
	for name, c := range map[string]struct {
		tls  *tls.Config
		want error
	}{
		"its authority": {&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil},
		"no authority":  {&tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}, fault.Unavailable},
		"no TLS at all": {nil, fault.Unavailable},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if _, err := serve(t, f, Config{TLS: c.tls}, secure).Search(ctx, query); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		cancel()
	}
}

// authority makes a certificate for 127.0.0.1 that signs itself.
func authority(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	c := selfsigned.Make(t, &x509.Certificate{
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	})
	return c, selfsigned.Roots(c)
}

package config

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/lanewise/lanewise/fault"
)

// The engines, as the schemes of their URLs.
const (
	engineQdrant   = "qdrant"
	engineMilvus   = "milvus"
	engineWeaviate = "weaviate"
	enginePostgres = "postgres"
)

// enginePorts are where the engines listen by default.
var enginePorts = map[string]string{ //nolint:gochecknoglobals // a constant table
	engineQdrant: "6334", engineMilvus: "19530", engineWeaviate: "8080", enginePostgres: "5432",
}

// engineURL is a URL of an engine, taken apart:
// scheme://[user[:password]@]host[:port][/database][/collection][?option=value…].
type engineURL struct {
	engine   string
	user     string
	password string
	address  string   // host:port
	path     []string // at most two names
	options  url.Values
}

// isEngine reports whether a URL is that of an engine, and not of a lanewise server.
func isEngine(text string) bool {
	scheme, _, ok := strings.Cut(text, "://")
	return ok && !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https")
}

// parseEngineURL reads a URL. Errors do not repeat it, because it may hold a password.
func parseEngineURL(text string) (engineURL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return engineURL{}, fault.New(fault.Invalid, "is not a URL: write it as qdrant://10.0.0.1:6334")
	}
	e := engineURL{engine: strings.ToLower(u.Scheme), options: u.Query()}
	if e.engine == "postgresql" {
		e.engine = enginePostgres
	}
	usual, known := enginePorts[e.engine]
	if !known {
		return e, fault.New(fault.Invalid, "%q is no engine: there are qdrant://, milvus://, weaviate:// and postgres://, and http:// for a lanewise server", u.Scheme+"://")
	}
	port := u.Port()
	if port == "" {
		port = usual
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || u.Hostname() == "" || u.Fragment != "" {
		return e, fault.New(fault.Invalid, "names no server: write it as %s://10.0.0.1:%s", e.engine, usual)
	}
	e.address = net.JoinHostPort(strings.ToLower(u.Hostname()), port)
	e.user = u.User.Username()
	e.password, _ = u.User.Password()
	if path := strings.Trim(u.Path, "/"); path != "" {
		e.path = strings.Split(path, "/")
	}
	return e, nil
}

// String is the URL without password and options.
func (e engineURL) String() string {
	u := url.URL{Scheme: e.engine, Host: e.address, Path: "/" + strings.Join(e.path, "/")}
	if e.user != "" {
		u.User = url.User(e.user)
	}
	return strings.TrimSuffix(u.String(), "/")
}

// hasDatabase reports whether a server of the engine is divided into databases.
func (e engineURL) hasDatabase() bool { return e.engine == engineMilvus || e.engine == enginePostgres }

// database is the first name of the path of a server.
func (e engineURL) database() string {
	if len(e.path) > 0 {
		return e.path[0]
	}
	return ""
}

// EngineReplica reads the URL of one collection on the server of an engine, as it is
// given on a command line: qdrant://host:6334/docs, milvus://host:19530/db/docs,
// weaviate://host:8080/Docs, postgres://user:password@host:5432/db/schema.table. It returns
// the server as a replica, and the collection's name; that is empty where the URL names
// none. The options tls=true, ca=FILE and, of Weaviate, grpc=HOST:PORT stand for the keys of
// a replica; all others go to PostgreSQL.
func EngineReplica(text string) (Replica, string, error) {
	e, err := parseEngineURL(text)
	if err != nil {
		return Replica{}, "", err
	}
	r := Replica{Key: Secret(e.password), TLS: e.options.Get("tls") == "true", CA: e.options.Get("ca")}
	e.options.Del("tls")
	e.options.Del("ca")
	if e.engine == engineWeaviate {
		r.Weaviate.GRPC = e.options.Get("grpc")
		e.options.Del("grpc")
	}
	most, collection := 1, ""
	if e.hasDatabase() {
		most = 2
	}
	switch names := len(e.path); {
	case names > most:
		return r, "", fault.New(fault.Invalid, "has too many names: %s ends in %s", e, pathForm(e.engine))
	case e.engine == enginePostgres && names == 1: // the database alone
	case names > 0:
		collection = e.path[names-1]
		e.path = e.path[:names-1]
	}
	r.URL = e.String()
	if len(e.options) > 0 {
		r.URL += "?" + e.options.Encode()
	}
	return r, collection, nil
}

// pathForm is the end of a collection's URL.
func pathForm(engine string) string {
	switch engine {
	case engineMilvus:
		return "/COLLECTION or /DATABASE/COLLECTION"
	case enginePostgres:
		return "/DATABASE/TABLE or /DATABASE/SCHEMA.TABLE"
	default:
		return "/COLLECTION"
	}
}

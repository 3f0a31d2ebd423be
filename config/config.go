// Package config turns a YAML file into a running lanewise: [Load] reads and
// checks the file, [Config.Build] wires what it describes.
//
// The file is read strictly. An unknown key, a wrong type, a value that cannot
// be: each is reported with file, line, column and path, all of them at once.
// Texts may hold ${NAME}, which stands for an environment variable and is an
// error where that is not set, and ${NAME:-default}. Durations are written as
// "250ms", sizes as "32MiB". Relative paths start at the file's own folder.
package config

import (
	"reflect"
	"time"
)

// Config is what a file says. The zero value of a field means the default that
// its comment states.
type Config struct {
	// Listen is the address to serve on. Default 127.0.0.1:8080.
	Listen string `yaml:"listen,omitempty"`

	// Keys are what clients must show as a bearer token, any of them. Default:
	// none, and everybody who reaches the address may do everything.
	Keys []ClientKey `yaml:"keys,omitempty"`
	// KeysFile holds more keys, which lanewise keys writes. It is read again when it changes.
	KeysFile string `yaml:"keys_file,omitempty"`
	// JWT knows callers by tokens that an identity provider signs. Default: it knows nobody.
	JWT tokens `yaml:"jwt,omitempty"`
	// Tenants bounds what each tenant may use of the whole server. Default: no limit.
	Tenants tenants `yaml:"tenants,omitempty"`
	// UsageFile keeps what budgets of keys and tenants have been used over a restart. Default: usage.db beside the map,
	// where this file has budgets.
	UsageFile string `yaml:"usage_file,omitempty"`
	// Open lets everybody in who reaches the server, from wherever and by whatever name.
	Open bool `yaml:"open,omitempty"`
	// TLS encrypts connections. Default: they are not.
	TLS serverTLS `yaml:"tls,omitempty"`

	// Store is the folder of a local store that is served as it is: this server
	// is a replica for routers elsewhere, and has no shards.
	Store string `yaml:"store,omitempty"`

	// Map is the file of the shard map, or etcd://HOST:PORT,HOST:PORT/PREFIX or
	// kubernetes://NAMESPACE/NAME (a ConfigMap) where several routers share it. Default:
	// none; the map lives in memory and the collections are those that the replicas report at the start.
	Map string `yaml:"map,omitempty"`
	// SharedMap is about a Map that several routers share.
	SharedMap sharedMap `yaml:"shared_map,omitempty"`

	// Shards hold the data, each a disjoint part of it. At least one is needed,
	// unless Store is set.
	Shards []Shard `yaml:"shards,omitempty"`

	// Collections are those that the engines of all shards hold already. Others are made
	// through the API.
	Collections []External `yaml:"collections,omitempty"`

	// AsShard also serves the replica protocol over all shards, so that another
	// router can use this one as a single shard.
	AsShard bool `yaml:"as_shard,omitempty"`

	// CursorKey signs the cursors of pages, so that routers with the same key read
	// each other's. Default: drawn at the start.
	CursorKey Secret `yaml:"cursor_key,omitempty"`

	Stores   Stores   `yaml:"local,omitempty"`
	Embed    Embed    `yaml:"embed,omitempty"`
	Rerank   Rerank   `yaml:"rerank,omitempty"`
	LLM      LLM      `yaml:"llm,omitempty"`
	Timeouts Timeouts `yaml:"timeouts,omitempty"`
	Limits   Limits   `yaml:"limits,omitempty"`
	Hedge    hedging  `yaml:"hedge,omitempty"`
	Quotas   Quotas   `yaml:"quota,omitempty"`
	Log      Log      `yaml:"log,omitempty"`
	Metrics  metering `yaml:"metrics,omitempty"`
	Cluster  cluster  `yaml:"kubernetes,omitempty"`
	Traces   spans    `yaml:"traces,omitempty"`

	file   string           // that it was read from, or empty
	places map[string]place // where in the file each path stands
}

// Shard is a disjoint part of every collection, on one or more replicas.
type Shard struct {
	// Name decides which points the shard holds: to change it moves data.
	Name string `yaml:"name"`
	// Weight is the shard's share of the data, relative to the others. Default 1.
	Weight   float64   `yaml:"weight,omitempty"`
	Replicas []Replica `yaml:"replicas"`
	// Lexical are companions that rank by words, for replicas on engines that cannot: folders or lanewise
	// servers, each with the words, texts and metadata of the whole shard. They count in the acknowledgements of
	// writes. Default: none, and the replicas rank.
	Lexical []Replica `yaml:"lexical,omitempty"`
}

// Replica is a full copy of a shard: another lanewise server, a folder, or a server
// of another engine.
type Replica struct {
	// Name tells the replicas of a shard apart. Default r0, r1, … by position.
	Name string `yaml:"name,omitempty"`
	// Weight is the replica's share of the queries. Default 1.
	Weight float64 `yaml:"weight,omitempty"`
	// Aborts says that a search which is cancelled stops costing the replica anything.
	Aborts bool `yaml:"aborts,omitempty"`
	// URL is that of a lanewise server, such as http://10.0.0.1:8080, or of an engine:
	// qdrant://host:6334, milvus://[user@]host:19530[/database],
	// weaviate://host:8080, postgres://user@host:5432/database.
	URL string `yaml:"url,omitempty"`
	// Key is a lanewise server's bearer token, an engine's API key, or the password of
	// the URL's user. Default: none.
	Key Secret `yaml:"key,omitempty"`
	// TLS encrypts the connection to an engine and verifies the server.
	TLS bool `yaml:"tls,omitempty"`
	// CA is a file of certificates to trust, in PEM. Default: the system's.
	CA string `yaml:"ca,omitempty"`
	// ClientCert and ClientKey are files of a certificate to show to a lanewise server, in PEM. Default: none.
	ClientCert string `yaml:"client_cert,omitempty"`
	ClientKey  string `yaml:"client_key,omitempty"`
	// ServerName is the name that a lanewise server's certificate must be for. Default: the URL's host.
	ServerName string `yaml:"server_name,omitempty"`
	// Path is the folder of a local store, instead of a URL.
	Path string `yaml:"path,omitempty"`
	// Discover finds servers that take the place of the URL's.
	Discover discover `yaml:"discover,omitempty"`

	Qdrant   Qdrant   `yaml:"qdrant,omitempty"`
	Milvus   Milvus   `yaml:"milvus,omitempty"`
	Weaviate Weaviate `yaml:"weaviate,omitempty"`
	Postgres Postgres `yaml:"postgres,omitempty"`
}

func isZero(v any) bool { return reflect.ValueOf(v).IsZero() }

// Stores tunes the embedded stores of this server, each of them alike.
type Stores struct {
	// Index names metadata fields, as dotted paths, on which filters are to be
	// fast. Default: none, and a filter reads the documents in question.
	Index []string `yaml:"index,omitempty"`
	// Memory is what the vectors and ids of one store may take. Default: what the
	// machine has free when the store is opened.
	Memory Size `yaml:"memory,omitempty"`
}

// Embed lists the upstreams that turn texts into vectors. Those of one space
// (model, revision, dims) stand in for each other; the first one's space is the
// default of new collections.
type Embed struct {
	// Upstreams default to the model that is built in.
	Upstreams []EmbedUpstream `yaml:"upstreams,omitempty"`
	// Cache is the memory for vectors of texts seen before. Default 64 MiB.
	Cache Size `yaml:"cache,omitempty"`
	// CacheTTL is for how long such a vector is good. Default: for ever.
	CacheTTL time.Duration `yaml:"cache_ttl,omitempty"`
	// CacheFile keeps vectors that other servers have made over a restart, in two files
	// that begin with this path. Default: none.
	CacheFile string `yaml:"cache_file,omitempty"`
	// CacheFileSize is that of both files together. Default 1 GiB.
	CacheFileSize Size `yaml:"cache_file_size,omitempty"`
	// Long is what becomes of texts beyond the model's window: refuse, or truncate to
	// what fits. Default refuse.
	Long string `yaml:"long,omitempty"`
}

// EmbedUpstream is one source of vectors.
type EmbedUpstream struct {
	Name string `yaml:"name,omitempty"` // default: its kind and position, such as openai-0
	// Kind is "static", the model that is built in, "openai", any server of the
	// OpenAI-compatible /v1/embeddings, Azure's among them, or "tei", "ollama" or
	// "cohere", a server with an interface of its own.
	Kind string `yaml:"kind"`
	URL  string `yaml:"url,omitempty"` // of an openai upstream, with its /v1
	// Discover finds servers that take the place of the URL's.
	Discover discover `yaml:"discover,omitempty"`
	Key      Secret   `yaml:"key,omitempty"`
	Keys     []Secret `yaml:"keys,omitempty"` // beside key, used in turn; one that is refused is never used again
	// KeyHeader carries the key as it is, such as api-key for Azure. Default: a bearer token.
	KeyHeader string `yaml:"key_header,omitempty"`

	Model    string  `yaml:"model,omitempty"`
	Dims     int     `yaml:"dims,omitempty"`     // of the model's vectors
	Revision string  `yaml:"revision,omitempty"` // of the model, if the operator tells them apart
	Weight   float64 `yaml:"weight,omitempty"`   // share of the load. Default 1
	Tier     int     `yaml:"tier,omitempty"`     // used only while earlier tiers have no healthy upstream. Default 0
	Slots    int     `yaml:"slots,omitempty"`    // calls it runs at one time. Default: not known
	// Aborts says that a call which is cancelled stops costing anything.
	Aborts bool `yaml:"aborts,omitempty"`
	// Metrics is the URL of a page of the server's gauges, in Prometheus' text format, by
	// which that is measured at the start instead, and the texts of others are seen.
	// Default: none.
	Metrics string `yaml:"metrics,omitempty"`
	// Normalized asserts that the vectors have length 1.
	Normalized bool `yaml:"normalized,omitempty"`
	// SendDims asks the server to shorten its vectors to dims.
	SendDims       bool   `yaml:"send_dims,omitempty"`
	QueryPrefix    string `yaml:"query_prefix,omitempty"`    // put before every query
	DocumentPrefix string `yaml:"document_prefix,omitempty"` // put before every document
	// QueryType and DocumentType are sent as input_type. Default: none with openai,
	// search_query and search_document with cohere.
	QueryType    string `yaml:"query_type,omitempty"`
	DocumentType string `yaml:"document_type,omitempty"`
	Base64       bool   `yaml:"base64,omitempty"` // ask an openai upstream for vectors as base64
	Preset       string `yaml:"preset,omitempty"` // limits of openai, azure, vertex, infinity, tei or cohere. Default: those of the kind
	Batch        Batch  `yaml:"batch,omitempty"`  // limits of one call, instead of the preset's
	Window       int    `yaml:"window,omitempty"` // tokens that the model reads of one text. Default: not known
	Quota        Quota  `yaml:"quota,omitempty"`  // that the upstream allows by the minute. Default: no limit
}

// Batch limits one call to an upstream. The default of each is the preset's; lower
// limits are learned.
type Batch struct {
	Inputs int  `yaml:"inputs,omitempty"` // texts
	Tokens int  `yaml:"tokens,omitempty"` // of all texts together
	Bytes  Size `yaml:"bytes,omitempty"`  // of all texts together
}

// LLM lists the upstreams that write answers, and the models that they are offered as.
type LLM struct {
	// Upstreams default to "extract", which quotes the passages found.
	Upstreams []LLMUpstream `yaml:"upstreams,omitempty"`
	// Models are the names that requests may ask for. Default: all upstreams as one, and
	// each upstream by its name and its model.
	Models []Model `yaml:"models,omitempty"`
	// Default is the model of requests that name none. Default: the first.
	Default string `yaml:"default,omitempty"`
	// Routes choose for requests whose model is auto, by what they ask. Default: none.
	Routes []struct {
		Name      string   `yaml:"name"`
		Examples  []string `yaml:"examples"`            // what people say who mean this route
		Threshold float64  `yaml:"threshold,omitempty"` // cosine with one of them from which on it is taken. Default 0.5
		// Where it leads, one of them at least. Default of each: what the request has.
		Model      string `yaml:"model,omitempty"`      // name or alias
		Collection string `yaml:"collection,omitempty"` // of answers
		Prompt     string `yaml:"prompt,omitempty"`     // of answers: name of the template
	} `yaml:"routes,omitempty"`
	// Tenants bounds what each tenant may use. Default: no limit.
	Tenants Tenants `yaml:"tenants,omitempty"`
	// Floor is the score in the dense leg that the best source of an answer needs: below it
	// nothing was found. Default 0.35 with the embedding model that is built in, else none; -1: none.
	Floor float64 `yaml:"floor,omitempty"`
	// ContextOrder is the order of the passages in prompts: rank, or stable, by id, so that prompts
	// with the same passages begin alike. Default rank.
	ContextOrder string `yaml:"context_order,omitempty"`
	// SearchText says how a question that leans on the conversation is made into one that can be
	// searched for: by words, with the turns before it, or by the model. Default words.
	SearchText string `yaml:"search_text,omitempty"`
	// Prompts are the templates that requests may choose. Default: a built-in one.
	Prompts []Prompt `yaml:"prompts,omitempty"`
}

// LLMUpstream is one source of answers.
type LLMUpstream struct {
	Name string `yaml:"name,omitempty"` // default: its kind and position
	// Kind is "extract", which quotes and needs no model, "openai", any server of the
	// OpenAI-compatible /v1/chat/completions, "azure", a deployment of Azure OpenAI, or
	// "anthropic", the Messages API.
	Kind string `yaml:"kind"`
	// URL is the server's: with its /v1 for openai, the resource's for azure. Default:
	// Anthropic's own, for anthropic.
	URL string `yaml:"url,omitempty"`
	// Discover finds servers that take the place of the URL's.
	Discover discover `yaml:"discover,omitempty"`
	Key      Secret   `yaml:"key,omitempty"`
	// Keys are used in turn, beside key, of openai and azure; one that is refused is never used again.
	Keys  []Secret `yaml:"keys,omitempty"`
	Model string   `yaml:"model,omitempty"` // azure: default the deployment
	// Context is the model's window in tokens, of prompt and answer together. Default: not known.
	Context int `yaml:"context,omitempty"`
	// KeyHeader carries the key as it is. Default: a bearer token; azure: api-key.
	KeyHeader  string `yaml:"key_header,omitempty"`
	Deployment string `yaml:"deployment,omitempty"`  // of azure
	APIVersion string `yaml:"api_version,omitempty"` // of azure. Default 2024-10-21
	// LimitField is the name under which an answer's limit is sent: max_tokens or
	// max_completion_tokens, of openai and azure. Default max_tokens.
	LimitField string `yaml:"limit_field,omitempty"`
	// Continue is how the server of an openai upstream goes on with an answer that another
	// has begun: "flags" (vLLM, SGLang) or "prefill" (llama.cpp). Default: it cannot.
	Continue string `yaml:"continue,omitempty"`
	// MaxTokens bounds answers for which nobody sets a limit, of anthropic. Default 4096.
	MaxTokens int `yaml:"max_tokens,omitempty"`
	// CachePrompt has anthropic keep the system prompt.
	CachePrompt bool `yaml:"cache_prompt,omitempty"`

	Weight float64 `yaml:"weight,omitempty"` // share of the load. Default 1
	Slots  int     `yaml:"slots,omitempty"`  // answers it writes at one time. Default: not known
	Tier   int     `yaml:"tier,omitempty"`   // used only while earlier tiers have no healthy upstream. Default 0
	Aborts bool    `yaml:"aborts,omitempty"` // an answer that is cancelled stops costing anything
	// Metrics is the URL of a page of the server's gauges, in Prometheus' text format, by
	// which that is measured at the start instead, and the calls of others are seen.
	// Default: none.
	Metrics string `yaml:"metrics,omitempty"`
	Quota   Quota  `yaml:"quota,omitempty"` // that the upstream allows by the minute. Default: no limit
}

// Timeouts bound whole requests, and the waits within the streams of models.
type Timeouts struct {
	Search   time.Duration `yaml:"search,omitempty"`   // default 2s
	Answer   time.Duration `yaml:"answer,omitempty"`   // default 60s
	Write    time.Duration `yaml:"write,omitempty"`    // default 10s
	Shutdown time.Duration `yaml:"shutdown,omitempty"` // for requests under way at the end. Default 10s
	Header   time.Duration `yaml:"header,omitempty"`   // until a request's header has arrived. Default 10s
	Body     time.Duration `yaml:"body,omitempty"`     // until its body has. Default 2m
	Idle     time.Duration `yaml:"idle,omitempty"`     // for which a connection may wait for its next request. Default 2m
	Stall    time.Duration `yaml:"stall,omitempty"`    // for which a client may leave an answer unread. Default 30s
	// Notice is for how long requests are still taken at the end, while /readyz says that the server ends. Default 0.
	Notice       time.Duration `yaml:"notice,omitempty"`
	FirstContent time.Duration `yaml:"first_content,omitempty"` // until a relayed stream begins to answer. Default 2m
	Silence      time.Duration `yaml:"silence,omitempty"`       // of its upstream after that. Default 1m
}

// Limits bound what requests may cost.
type Limits struct {
	Body          Size `yaml:"body,omitempty"`                    // of a request's body. Default 32MiB
	BodyRate      Size `yaml:"body_rate,omitempty"`               // by the second, at which a body has to arrive after ten seconds. Default 4KiB
	Headers       Size `yaml:"headers,omitempty"`                 // of a request's header. Default 64KiB
	Connections   int  `yaml:"connections,omitempty"`             // of clients, open at one time. Default 16384
	PerAddress    int  `yaml:"connections_per_address,omitempty"` // of one client address. Default: no limit
	Streams       int  `yaml:"streams,omitempty"`                 // answers that are streamed at one time. Default 4096
	Searches      int  `yaml:"searches,omitempty"`                // at work at one time. Default 1024
	ExtraAttempts int  `yaml:"extra_attempts,omitempty"`          // hedges and failovers of one request. Default 8; -1: none
	// Replica is what this router may ask of one replica at a time at most. How much
	// of that is good for it is found out. Default 4096; -1: no limit.
	Replica int `yaml:"replica,omitempty"`
}

// hedging tunes the extra attempts for slowness on the shard lanes.
type hedging struct {
	Delay    time.Duration `yaml:"delay,omitempty"`    // until enough latencies are known. Default 30ms
	Quantile float64       `yaml:"quantile,omitempty"` // of the latencies, after which to hedge. Default 0.98
	Share    float64       `yaml:"share,omitempty"`    // of first attempts that may be hedged. Default 0.05
	Off      bool          `yaml:"off,omitempty"`      // never hedge
}

// Log says what is written to standard error.
type Log struct {
	Level  string `yaml:"level,omitempty"`  // debug, info, warn or error. Default info
	Format string `yaml:"format,omitempty"` // text or json. Default text
	// Tenants is how tenants are named: hash, name, or none. Default hash.
	Tenants string `yaml:"tenants,omitempty"`
}

// DefaultListen is the address to serve on where none is given.
const DefaultListen = "127.0.0.1:8080"

package config

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The kinds of upstreams.
const (
	kindStatic  = "static"
	kindExtract = "extract"
	kindOpenAI  = "openai"
)

// Validate reports everything that is wrong with the values, as joined
// Problems. [Load] has done so already.
func (c *Config) Validate() error {
	found := problems{list: c.problems()}
	return found.err()
}

func (c *Config) problems() []*Problem {
	v := &validator{problems: problems{file: c.file, places: c.places}, urls: map[string]string{}, dirs: map[string]string{}}
	v.listen("listen", c.Listen)
	v.access(c)
	v.kindOfServer(c)
	v.sharedMap(c)
	v.shards(c.Shards)
	v.external(c)
	v.upstreams(c)
	v.models(c.LLM)
	v.prompts(c.LLM)
	v.quotas(c)
	v.allowances(c)
	v.clients(c)
	v.figures(c)
	v.log(c.Log)
	v.observing(c)
	v.kubernetes(c.Cluster)
	return v.list
}

type validator struct {
	problems
	urls, dirs map[string]string // of replicas, with the path that used each first
}

func (v *validator) listen(path, address string) {
	if address == "" {
		return
	}
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
		v.at(path, "%q is not an address: write host:port, such as %s", address, DefaultListen)
	}
}

// kindOfServer tells a router from a bare replica.
func (v *validator) kindOfServer(c *Config) {
	if c.Store == "" {
		if len(c.Shards) == 0 {
			v.at("shards", "missing: name at least one shard with a replica, or set store to serve a bare replica")
		}
		return
	}
	v.own("store", c.Store)
	for path, given := range map[string]bool{
		"shards": len(c.Shards) > 0, "map": c.Map != "", "as_shard": c.AsShard,
		"embed": len(c.Embed.Upstreams) > 0, "llm": len(c.LLM.Upstreams) > 0 || len(c.LLM.Models) > 0, "rerank": len(c.Rerank.Upstreams) > 0,
	} {
		if given {
			v.at(path, "cannot stand beside store: a bare replica only keeps what a router sends")
		}
	}
}

func (v *validator) shards(shards []Shard) {
	names := map[string]string{}
	for i, s := range shards {
		path := fmt.Sprintf("shards[%d]", i)
		if s.Name == "" {
			v.at(path+".name", "missing: the name decides which points the shard holds")
		}
		v.unique(names, s.Name, path+".name")
		v.weight(path, s.Weight)
		if len(s.Replicas) == 0 {
			v.at(path+".replicas", "missing: a shard needs at least one replica")
		}
		replicas := map[string]string{}
		for j, r := range s.Replicas {
			at := fmt.Sprintf("%s.replicas[%d]", path, j)
			v.unique(replicas, r.Name, at+".name")
			v.replica(at, r)
		}
		for j, l := range s.Lexical {
			at := fmt.Sprintf("%s.lexical[%d]", path, j)
			v.unique(replicas, l.Name, at+".name")
			v.companion(at, l)
		}
	}
}

func (v *validator) replica(path string, r Replica) {
	v.weight(path, r.Weight)
	v.discover(path+".discover", r.Discover, r.Path != "")
	v.check((r.ClientCert == "") == (r.ClientKey == ""), path+".client_cert", "and client_key belong together")
	v.check(!r.identified() || r.Path == "" && !isEngine(r.URL), path+".client_cert", "and server_name are for lanewise servers only")
	switch {
	case r.URL == "" && r.Path == "":
		v.at(path, "missing url or path: a replica is a server, of lanewise or of an engine, or a local folder")
	case r.URL != "" && r.Path != "":
		v.at(path+".path", "cannot stand beside url: a replica is either a server or a folder")
	case r.Path != "":
		v.own(path+".path", r.Path)
		v.check(r.Key == "", path+".key", "a local folder needs no key")
		v.plain(path, r)
		v.check(!r.TLS && r.CA == "", path+".tls", "a local folder has no connection")
	case isEngine(r.URL):
		v.engine(path, r)
	default:
		v.unique(v.urls, v.url(path+".url", r.URL), path+".url")
		v.plain(path, r)
		v.check(!r.TLS, path+".tls", "has no meaning here: write https:// in the url")
		v.check(r.CA == "" || strings.HasPrefix(r.URL, "https:"), path+".ca", "has no meaning without https://")
		v.check(!r.identified() || strings.HasPrefix(r.URL, "https:"), path+".client_cert", "and server_name have no meaning without https://")
	}
}

// identified reports whether both ends of the connection to a lanewise server are known by more than its URL.
func (r *Replica) identified() bool { return r.ClientCert+r.ClientKey+r.ServerName != "" }

// plain refuses the settings of engines where there is none.
func (v *validator) plain(path string, r Replica) {
	for engine, given := range r.tuned() {
		v.check(!given, path+"."+engine, "has no meaning here: the url names no "+engine+"://")
	}
}

// own claims a folder for one store.
func (v *validator) own(path, dir string) {
	v.unique(v.dirs, filepath.Clean(dir), path)
}

// unique reports a value that another path has used.
func (v *validator) unique(seen map[string]string, value, path string) {
	if value == "" {
		return
	}
	if first, used := seen[value]; used {
		v.at(path, "%q is used by %s already", value, first)
		return
	}
	seen[value] = path
}

// url checks the address of a server and returns it in one spelling.
func (v *validator) url(path, text string) string {
	u, err := url.Parse(text)
	switch {
	case text == "":
		v.at(path, "missing: where is the server?")
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		v.at(path, "%q is not a URL: write it as http://10.0.0.1:8080", text)
	case u.User != nil:
		v.at(path, "holds a password: use key instead")
	case u.RawQuery != "" || u.Fragment != "":
		v.at(path, "%q has more than an address and a path", text)
	default:
		return strings.ToLower(u.Scheme+"://"+u.Host) + strings.TrimRight(u.Path, "/")
	}
	return ""
}

func (v *validator) upstreams(c *Config) {
	v.embedders(c.Embed)
	v.rerankers(c.Rerank)
	names := map[string]string{}
	v.check(c.LLM.Floor <= 1, "llm.floor", "must be at most 1")
	for i, u := range c.LLM.Upstreams {
		path := fmt.Sprintf("llm.upstreams[%d]", i)
		v.unique(names, u.Name, path+".name")
		v.load(path, u.Weight, u.Slots, u.Tier)
		v.generator(path, u)
		v.discoverUpstream(path, u.Discover, u.Kind == kindExtract)
	}
}

// kind checks that a kind is one of those that there are.
func (v *validator) kind(path, kind string, kinds ...string) bool {
	switch {
	case slices.Contains(kinds, kind):
		return true
	case kind == "":
		v.at(path+".kind", "missing: %s", strings.Join(kinds, " or "))
	default:
		known := map[string]int{}
		for _, k := range kinds {
			known[k] = 0
		}
		v.at(path+".kind", "unknown kind %q%s", kind, suggest(kind, known))
	}
	return false
}

func (v *validator) openAI(path, address, model string) {
	v.url(path+".url", address)
	v.check(model != "", path+".model", "missing: which model of that server?")
}

// bare reports keys that an upstream of its kind has no use for.
func (v *validator) bare(path string, given map[string]bool) {
	for key, is := range given {
		v.check(!is, path+"."+key, "has no meaning for an upstream of this kind")
	}
}

func (v *validator) figures(c *Config) {
	v.check(c.Limits.Searches >= 0, "limits.searches", "must not be negative")
	v.notZero("limits.searches", c.Limits.Searches == 0, allPass)
	v.notZero("limits.body", c.Limits.Body == 0, allPass)
	v.notZero("limits.extra_attempts", c.Limits.ExtraAttempts == 0, "write -1 for none")
	v.check(c.Limits.Replica >= -1, "limits.replica", "must be -1 (no limit) or more")
	v.notZero("limits.replica", c.Limits.Replica == 0, "write -1 for no limit")
	v.times(c.Timeouts)
	v.hedge(c.Hedge)
	v.check(c.Limits.ExtraAttempts >= -1, "limits.extra_attempts", "must be -1 (none) or more")
}

// times checks that no timeout is zero, and that an answer has the time for its search.
func (v *validator) times(t Timeouts) {
	for key, d := range map[string]time.Duration{"search": t.Search, "answer": t.Answer, "write": t.Write} {
		v.notZero("timeouts."+key, d == 0, "no request would ever be answered")
	}
	for key, d := range map[string]time.Duration{"first_content": t.FirstContent, "silence": t.Silence} {
		v.notZero("timeouts."+key, d == 0, "every stream would be cut off")
	}
	v.check(t.Answer == 0 || t.Search <= t.Answer, "timeouts.search", "is longer than timeouts.answer, and an answer begins with a search")
}

func (v *validator) hedge(h hedging) {
	v.check(h.Quantile >= 0 && h.Quantile < 1, "hedge.quantile", "must lie between 0 and 1")
	v.check(h.Share >= 0 && h.Share <= 1, "hedge.share", "must lie between 0 and 1")
	for key, figure := range map[string]float64{"quantile": h.Quantile, "share": h.Share, "delay": h.Delay.Seconds()} {
		v.notZero("hedge."+key, figure == 0, "write off: true to never hedge")
		v.check(!h.Off || figure == 0, "hedge."+key, "contradicts hedge.off")
	}
}

func (v *validator) weight(path string, w float64) {
	v.check(w >= 0, path+".weight", "must not be negative")
	v.notZero(path+".weight", w == 0, "who is to get no load is left out of the list")
}

func (v *validator) load(path string, weight float64, slots, tier int) {
	v.weight(path, weight)
	v.check(slots >= 0, path+".slots", "must not be negative")
	v.notZero(path+".slots", slots == 0, "leave the key out where the number is not known")
	v.check(tier >= 0, path+".tier", "must not be negative")
}

func (v *validator) log(l Log) {
	levels, formats := []string{"", "debug", "info", "warn", "error"}, []string{"", "text", "json"}
	v.check(slices.Contains(levels, l.Level), "log.level", "is none of debug, info, warn and error")
	v.check(slices.Contains(formats, l.Format), "log.format", "is neither text nor json")
}

func (v *validator) check(ok bool, path, problem string) {
	if !ok {
		v.at(path, "%s", problem)
	}
}

package arch

import (
	"slices"
	"strconv"
	"strings"
)

// door says what a package may import of this module. Packages are named by
// their folder; "x/*" stands for every folder directly or deeper below x.
type door struct {
	from string
	to   string // separated by spaces; "**" is everything but programs
}

// doors is the table of imports; docs/architecture.md explains it. The first entry that matches
// counts. Every package may import internal packages unless it is listed with
// "pure". What is not listed may not be imported; a package without an entry is
// a finding of its own.
var doors = []door{
	{"fault", "pure"},
	{"search", "fault"},
	{"search/wire", "search fault"},
	{"balance", "balance/limit balance/quota fault"},
	{"balance/*", "balance balance/* fault"},
	{"shardmap", "search fault"},
	{"shardmap/*", "shardmap search fault"},
	{"merge", "search"},
	{"embed", "search balance balance/quota fault"},
	{"embed/*", "embed search fault"},
	{"llm", "llm/relay balance balance/limit balance/quota fault"},
	{"llm/relay", "fault"},
	{"llm/models", "llm llm/relay balance balance/quota fault"},
	{"llm/*", "llm llm/relay fault"},
	{"rerank", "search balance fault"},
	{"rerank/*", "rerank search fault"},
	{"adapters/*", "search search/wire fault"},
	{"router", "search balance balance/admit balance/limit shardmap merge embed llm llm/relay llm/prompt rerank fault"},
	{"access", "fault"},
	{"access/meter/*", "access access/meter fault"},
	{"access/*", "access balance/quota fault"},
	{"discovery", "fault"},
	{"discovery/*", "discovery fault"},
	{"kubernetes", "discovery kubernetes/metrics router shardmap fault"},
	{"kubernetes/metrics", "kubernetes/scaling fault"},
	{"kubernetes/scaling", "balance fault"},
	{"httpapi/ui", ""},
	{"httpapi", "httpapi/ui discovery access access/meter balance router search search/wire embed rerank llm llm/relay llm/prompt fault"},
	{"observe", "discovery access/meter balance balance/quota embed router httpapi fault"},
	{"config", "observe discovery discovery/* kubernetes kubernetes/* fault search search/* balance balance/* shardmap shardmap/* merge embed embed/* llm llm/* rerank rerank/* adapters/* router httpapi access access/*"},
	{"internal/arch", "pure"},
	{"internal/*", "search fault"},
	{"bench", "**"},
	{"bench/*", "**"},
	{"examples/*", "**"},
	{"scripts/*", "**"},
	{"cmd/*", "**"},
}

// checkImports holds the packages to the table. Tests are exempt: they may wire
// a package to whatever shows that it works, and the compiler refuses cycles.
func checkImports(m *Module, p Package) (found []Finding) {
	if p.Dir == "." {
		return nil
	}
	at := slices.IndexFunc(doors, func(d door) bool { return matches(d.from, p.Dir) })
	if at < 0 {
		return []Finding{{At: p.Dir, Text: "not in the table of internal/arch/imports.go: say there what it may import"}}
	}
	for _, f := range p.Files {
		if f.Test {
			continue
		}
		for _, spec := range f.Syntax.Imports {
			full, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue // the compiler's business
			}
			if to, inside := strings.CutPrefix(full, m.Path+"/"); inside && !doors[at].allows(p.Dir, to) {
				found = append(found, f.finding(spec.Pos(), "%s must not import %s", p.Dir, to))
			}
		}
	}
	return found
}

// allows reports whether the package in folder from may import the one in to.
func (d door) allows(from, to string) bool {
	list := strings.Fields(d.to)
	switch {
	case strings.HasPrefix(to, "cmd/"):
		return strings.HasPrefix(from, "cmd/")
	case to == "internal/arch":
		return false
	case slices.Contains(list, "**"):
		return true
	case slices.Contains(strings.Split(to, "/"), "internal"):
		return !slices.Contains(list, "pure") // the compiler sees to it that x/internal/y belongs to x
	}
	return slices.ContainsFunc(list, func(pattern string) bool { return matches(pattern, to) })
}

// matches reports whether a folder is meant by a pattern of the table.
func matches(pattern, dir string) bool {
	above, deep := strings.CutSuffix(pattern, "/*")
	if deep {
		return strings.HasPrefix(dir, above+"/")
	}
	return pattern == dir
}

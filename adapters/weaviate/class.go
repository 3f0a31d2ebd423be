package weaviate

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/weaviate/weaviate/entities/models"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// class is what this Store remembers of a collection. It is not changed.
type class struct {
	search.Collection
	engine string          // the name in Weaviate
	born   string          // differs when the collection is made anew
	index  Index           //
	orders map[string]bool // properties that keep values by order
	full   bool            // no more of them are made
	digest bool            // points keep digests

	outline *outline // of an external class; nil for this Store's own
}

// descriptor is the description of a class.
type descriptor struct {
	Lanewise   int               `json:"lanewise"` // layout
	Collection search.Collection `json:"collection"`
	Index      Index             `json:"index"`
	Born       string            `json:"born"`
}

// layout is the version of what a class is made of.
const layout = 2

// mostDims is the most that Weaviate takes.
const mostDims = 65535

// longestName is the longest name of a class.
const longestName = 255

// engineName is a collection's name as Weaviate takes it. Weaviate does not tell apart
// names that differ in case only, so capitals are escaped, too.
func (c Config) engineName(name string) string {
	var b strings.Builder
	b.WriteString(c.Prefix)
	b.WriteByte('_')
	for i := range len(name) {
		if x := name[i]; x >= 'a' && x <= 'z' || x >= '0' && x <= '9' {
			b.WriteByte(x)
		} else {
			fmt.Fprintf(&b, "_%02x", x)
		}
	}
	return b.String()
}

// errStale says that an answer does not fit what is remembered of a class.
var errStale = fault.New(fault.Unavailable, "the answer does not fit the collection")

// withClass calls f with what is known of a collection. Where f finds something wrong with
// its request, and what it used was remembered and turns out to be out of date, it is
// called again.
func (s *Store) withClass(ctx context.Context, name string, f func(*class) error) error {
	known, remembered := s.classes.Load(name)
	if !remembered {
		fresh, err := s.describe(ctx, name)
		if err != nil {
			return err
		}
		if err := f(fresh); !errors.Is(err, errStale) {
			return err
		}
		return f(fresh)
	}
	old := known.(*class) //nolint:forcetypeassert,errcheck // nothing else is stored
	err := f(old)
	if !errors.Is(err, fault.Invalid) && !errors.Is(err, fault.NotFound) && !errors.Is(err, errStale) {
		return err
	}
	s.classes.Delete(name)
	fresh, describing := s.describe(ctx, name)
	switch {
	case describing != nil:
		return describing
	case fresh.born == old.born && !errors.Is(err, errStale):
		return err
	}
	return f(fresh)
}

// describe asks the server what a collection is, and remembers it.
func (s *Store) describe(ctx context.Context, name string) (*class, error) {
	if x := s.cfg.external(name); x != nil {
		return s.outline(ctx, x)
	}
	got, err := s.rest.ClassGetter().WithClassName(s.cfg.engineName(name)).Do(ctx)
	if err := s.judgeRest(ctx, "describe "+name, err); err != nil {
		if errors.Is(err, fault.NotFound) {
			return nil, errNoCollection(name)
		}
		return nil, err
	}
	c, ok := s.read(got)
	if !ok || c.Name != name {
		return nil, fault.New(fault.Conflict, "class %s on %s was not made by this program, or by a version of it with another layout", s.cfg.engineName(name), s.cfg.Address)
	}
	s.classes.Store(name, c)
	return c, nil
}

func errNoCollection(name string) error {
	return fault.New(fault.NotFound, "there is no collection %q", name)
}

// read takes a class in; false where it is not this program's.
func (s *Store) read(got *models.Class) (*class, bool) {
	var d descriptor
	if json.Unmarshal([]byte(got.Description), &d) != nil || d.Lanewise != layout || s.cfg.engineName(d.Collection.Name) != got.Class {
		return nil, false
	}
	c := &class{Collection: d.Collection, engine: got.Class, born: d.Born, index: d.Index, orders: map[string]bool{}}
	for _, p := range got.Properties {
		switch {
		case p.Name == fullProperty:
			c.full = true
		case p.Name == digestProperty:
			c.digest = true
		case isOrderName(p.Name):
			c.orders[p.Name] = true
		}
	}
	return c, true
}

func isOrderName(name string) bool { return len(name) == 33 && (name[0] == 'n' || name[0] == 's') }

// create makes a collection, or finds that it is there.
func (s *Store) create(ctx context.Context, c search.Collection) error {
	if err := s.checkCollection(c); err != nil {
		return err
	}
	there, err := s.describe(ctx, c.Name)
	if errors.Is(err, fault.NotFound) {
		err = s.define(ctx, c)
		if !errors.Is(err, fault.Conflict) {
			return err
		}
		there, err = s.describe(ctx, c.Name) // another Store was first
	}
	switch {
	case err != nil:
		return err
	case there.Collection == c:
		return nil
	case there.Accepts(c):
		return s.redefine(ctx, there, c)
	default:
		return fault.New(fault.Conflict, "collection %q is there, and is another one", c.Name)
	}
}

func (s *Store) checkCollection(c search.Collection) error {
	switch {
	case c.Name == "" || len(s.cfg.engineName(c.Name)) > longestName || !utf8.ValidString(c.Name):
		return fault.BadField("/name", "%q must be UTF-8 and have between 1 and %d characters, as it is written in Weaviate", c.Name, longestName)
	case c.Dims < 1 || c.Dims > mostDims:
		return fault.BadField("/dims", "is %d, it must be between 1 and %d", c.Dims, mostDims)
	case distanceOf(c.Metric) == "":
		return fault.BadField("/metric", "%q is none of cosine, dot, euclidean", c.Metric)
	}
	return nil
}

func distanceOf(m search.Metric) string {
	switch m {
	case search.Cosine:
		return "cosine"
	case search.Dot:
		return "dot"
	case search.Euclidean:
		return "l2-squared"
	default:
		return ""
	}
}

// define creates the empty class.
func (s *Store) define(ctx context.Context, c search.Collection) error {
	about, err := json.Marshal(descriptor{Lanewise: layout, Collection: c, Index: s.cfg.Index, Born: rand.Text()})
	if err != nil {
		return fault.Wrap(fault.Invalid, "describe "+c.Name, err)
	}
	made := &models.Class{
		Class: s.cfg.engineName(c.Name), Description: string(about), Vectorizer: "none",
		VectorIndexType: string(s.cfg.Index), VectorIndexConfig: map[string]any{"distance": distanceOf(c.Metric)},
		Properties: []*models.Property{
			text(keyProperty, true), text(tenantProperty, true), texts(termsProperty), text(textProperty, false), text(metaProperty, false), text(sparseProperty, false),
			integer(markProperty, true), text(goneProperty, false), text(fenceProperty, false), integer(fencedProperty, true),
		},
	}
	if !s.cfg.NoDigest {
		made.Properties = append(made.Properties, integer(digestProperty, true))
	}
	err = s.rest.ClassCreator().WithClass(made).Do(ctx)
	return s.judgeRest(ctx, "create "+c.Name, err)
}

// redefine changes the description of a class.
func (s *Store) redefine(ctx context.Context, there *class, c search.Collection) error {
	got, err := s.rest.ClassGetter().WithClassName(there.engine).Do(ctx)
	if err := s.judgeRest(ctx, "describe "+c.Name, err); err != nil {
		return err
	}
	about, err := json.Marshal(descriptor{Lanewise: layout, Collection: c, Index: there.index, Born: there.born})
	if err != nil {
		return fault.Wrap(fault.Invalid, "describe "+c.Name, err)
	}
	got.Description = string(about)
	s.classes.Delete(c.Name)
	err = s.rest.ClassUpdater().WithClass(got).Do(ctx)
	return s.judgeRest(ctx, "change "+c.Name, err)
}

func text(name string, filterable bool) *models.Property {
	return &models.Property{
		Name: name, DataType: []string{"text"}, Tokenization: models.PropertyTokenizationField,
		IndexFilterable: &filterable, IndexSearchable: new(false),
	}
}

func texts(name string) *models.Property {
	p := text(name, true)
	p.DataType = []string{"text[]"}
	return p
}

func integer(name string, filterable bool) *models.Property {
	return &models.Property{Name: name, DataType: []string{"int"}, IndexFilterable: &filterable}
}

// order makes sure that the class has properties for values that are about to be written,
// by property with their fields, and returns what it is then. When it has as many as it
// may, it gets a mark, and no other field is ever ordered: points that are written
// before would be missing from it.
func (s *Store) order(ctx context.Context, c *class, wanted map[string]string) (*class, error) {
	missing := func() []string {
		var names []string
		for name := range wanted {
			if !c.orders[name] {
				names = append(names, name)
			}
		}
		return names
	}
	if c.full || len(missing()) == 0 {
		return c, nil
	}
	s.adding.Lock()
	defer s.adding.Unlock()
	c, err := s.describe(ctx, c.Name)
	if err != nil || c.full {
		return c, err
	}
	left := 2*s.cfg.MaxOrdered - len(c.orders)
	for _, name := range missing() {
		p := texts(name)
		p.Description = wanted[name]
		if left--; left < 0 {
			p = integer(fullProperty, false)
		}
		if err := s.addProperty(ctx, c, p); err != nil {
			return c, err
		}
		if left < 0 {
			break
		}
	}
	return s.describe(ctx, c.Name)
}

// addProperty adds a property; that another Store has added it is fine.
func (s *Store) addProperty(ctx context.Context, c *class, p *models.Property) error {
	err := s.rest.PropertyCreator().WithClassName(c.engine).WithProperty(p).Do(ctx)
	err = s.judgeRest(ctx, "index a field of "+c.Name, err)
	if errors.Is(err, fault.Conflict) {
		return nil
	}
	return err
}

// drop removes a collection.
func (s *Store) drop(ctx context.Context, name string) error {
	c, err := s.describe(ctx, name)
	s.classes.Delete(name)
	if err != nil {
		return err // also where it is not this program's to drop
	}
	err = s.rest.ClassDeleter().WithClassName(c.engine).Do(ctx)
	return s.judgeRest(ctx, "drop "+name, err)
}

// list finds this Store's collections on the server.
func (s *Store) list(ctx context.Context) ([]*class, error) {
	got, err := s.rest.Getter().Do(ctx)
	if err := s.judgeRest(ctx, "list collections", err); err != nil {
		return nil, err
	}
	var all []*class
	for _, one := range got.Classes {
		if c, ok := s.read(one); ok {
			all = append(all, c)
		}
	}
	return all, nil
}

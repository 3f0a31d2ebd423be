package httpapi

import (
	"net/http"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

func (s *server) putCollection(w *recorder, r *http.Request) error {
	body, err := decodeValid[wire.Collection](s, w, r)
	if err != nil {
		return err
	}
	name := r.PathValue("collection")
	if body.Name != "" && body.Name != name {
		return fault.BadField("/name", "is %q, but the path names %q", body.Name, name)
	}
	body.Name = name
	c := body.Descriptor()
	if body.Lexical == nil {
		c.Lexical = s.lexicalByDefault(c)
	}
	created, err := s.router.CreateCollection(r.Context(), c)
	if err != nil {
		return err
	}
	return s.reply(w, wire.NewCollection(created))
}

// lexicalByDefault is what a body means that does not say whether a collection has words: that of the
// name stays what it is, and a new one has them if it is one of texts and all shards can search them.
func (s *server) lexicalByDefault(c search.Collection) bool {
	if have, err := s.router.Collection(c.Name); err == nil {
		return have.Lexical
	}
	ofTexts := c.Space != "" || c.Dims == 0
	return ofTexts && s.router.SearchesWords()
}

func (s *server) listCollections(w *recorder, _ *http.Request) error {
	list := wire.Collections{Collections: []wire.Collection{}, Aliases: s.router.Aliases()}
	for _, c := range s.router.Collections() {
		list.Collections = append(list.Collections, wire.NewCollection(c))
	}
	return s.reply(w, list)
}

func (s *server) getCollection(w *recorder, r *http.Request) error {
	stats, err := s.router.Stats(r.Context(), r.PathValue("collection"))
	if err != nil {
		return err
	}
	body := wire.NewCollection(stats[0].Collection)
	body.Points = &stats[0].Points
	return s.reply(w, body)
}

func (s *server) deleteCollection(w *recorder, r *http.Request) error {
	if err := s.router.DropCollection(r.Context(), r.PathValue("collection")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *server) putAlias(w *recorder, r *http.Request) error {
	body, err := decodeValid[wire.Alias](s, w, r)
	if err != nil {
		return err
	}
	if err := s.router.SetAlias(r.PathValue("alias"), body.Collection); err != nil {
		return err
	}
	return s.reply(w, body)
}

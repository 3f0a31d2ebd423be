package static

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// sealed returns a copy of the model file, changed by edit, with a checksum that
// fits again.
func sealed(edit func(file []byte) []byte) []byte {
	file := edit(slices.Clone(modelFile))
	sum := crc32.Update(crc32.ChecksumIEEE(file[:checksumAt]), crc32.IEEETable, file[checksumAt+4:])
	binary.LittleEndian.PutUint32(file[checksumAt:], sum)
	return file
}

// set returns an edit that writes a number into the header.
func set(at int, n uint32) func([]byte) []byte {
	return func(file []byte) []byte {
		binary.LittleEndian.PutUint32(file[at:], n)
		return file
	}
}

func TestReadModel_refusesDamage(t *testing.T) {
	vocabulary := int(binary.LittleEndian.Uint32(modelFile[16:]))
	table := headerSize + vocabulary
	cases := []struct {
		name, says string
		damaged    bool
		file       []byte
	}{
		{"empty", "no header", true, nil},
		{"short header", "no header", true, modelFile[:headerSize-1]},
		{"other file", "no header", true, sealed(set(0, 0))},
		{"newer format", "format 2", false, sealed(set(4, 2))},
		{"other dimensions", "128 dimensions", false, sealed(set(12, 128))},
		{"truncated", "bytes instead of", true, modelFile[:len(modelFile)-1]},
		{"longer", "bytes instead of", true, append(slices.Clone(modelFile), 0)},
		{"huge vocabulary", "bytes instead of", true, sealed(set(16, 1<<31))},
		{"flipped bit", "checksum", true, func() []byte {
			file := slices.Clone(modelFile)
			file[len(file)/2] ^= 1
			return file
		}()},
		{"token lost", "29524 tokens", true, sealed(func(file []byte) []byte {
			file[headerSize+len("[PAD]")] = ' '
			return file
		})},
		{"token too long", "vocabulary at byte", true, sealed(func(file []byte) []byte {
			copy(file[headerSize:], strings.Repeat("x", maxPiece+1))
			return file
		})},
		{"unknown kind", "characters from", true, sealed(func(file []byte) []byte { file[table+1] = 200; return file })},
		{"run without length", "characters from", true, sealed(func(file []byte) []byte { file[table] = 0; return file })},
		{"runs too short", "characters end", true, sealed(func(file []byte) []byte { file[table]--; return file })},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := readModel(c.file)
			if err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, errDamaged) != c.damaged {
				t.Errorf("error %v, want one with %q", err, c.says)
			}
		})
	}
}

// TestVocabulary_findsEveryToken asks for each token as the beginning and as the
// continuation of a word.
func TestVocabulary_findsEveryToken(t *testing.T) {
	v := newProvider(t).model.vocabulary
	for id := range uint32(len(v.ends)) {
		piece, isInner := strings.CutPrefix(v.name(id), inner)
		if got, n := v.longest([]byte(piece), isInner); got != id || n != len(piece) {
			t.Fatalf("token %d %q found as %d, %d bytes", id, v.name(id), got, n)
		}
	}
}

// TestSplitter_words shows what the golden files cannot show by name.
func TestSplitter_words(t *testing.T) {
	table := newProvider(t).model.characters
	for text, want := range map[string]string{
		"":                                 "",
		"Don't STOP":                       "don|'|t|stop",
		"Ünïcödé":                          "unicode",
		"a\u200bb\x00c\xffd\ufffd":         "abcd",
		"日本x語":                             "日|本|x|語",
		"각":                                "\u1100\u1161\u11a8",
		"a\U0001d165\u1b44b":               "a\u1b44\U0001d165b", // reordered
		"a\U0001d165\u0301\x07\u1b44":      "a\u1b44\U0001d165",  // also across what is dropped
		"a\U0001d165\u0941\u1b44":          "a\U0001d165\u1b44",  // but not across a dropped starter
		"a\U0001d165b\u1b44":               "a\U0001d165b\u1b44",
		"\U0001d165 \u1b44":                "\U0001d165|\u1b44",
		"\u037ex\u00a0y\u3000z":            ";|x|y|z",
		"ends with a mark \U0001d165":      "ends|with|a|mark|\U0001d165",
		"punctuation…after\U0001d165!":     "punctuation|…|after\U0001d165|!",
		strings.Repeat("é", 100):           strings.Repeat("e", 100),
		strings.Repeat("a", 101) + " next": "(too long)|next",
	} {
		if got := strings.Join(words(table, text), "|"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// words returns the words of text.
func words(table *characters, text string) (all []string) {
	var s splitter
	for s.start(text); s.next(table); {
		word, ok := s.known()
		if !ok {
			word = []byte("(too long)")
		}
		all = append(all, string(word))
	}
	return all
}

func FuzzTokenize(f *testing.F) {
	m := newProvider(f).model
	f.Add("Hello, wörld", "日本\u0301")
	f.Add("\U0001d165\u1b44\xff", strings.Repeat("a", 101))
	f.Add("a\u200b각", "\u0344\u0958")
	f.Fuzz(func(t *testing.T, a, b string) {
		var s splitter
		first := m.tokenize(&s, nil, a)
		if most := 3 * utf8.RuneCountInString(a); len(first) > most { // a syllable has three letters
			t.Fatalf("%d tokens of at most %d letters", len(first), most)
		}
		if clean := m.tokenize(&s, nil, strings.ToValidUTF8(a, "")); !slices.Equal(clean, first) {
			t.Fatalf("%q: bytes that are not UTF-8 count", a)
		}
		// A space divides whatever stands around it.
		both := m.tokenize(&s, nil, a+" "+b)
		if parts := m.tokenize(&splitter{}, first, b); !slices.Equal(both, parts) {
			t.Fatalf("%q and %q: %v together, %v one after the other", a, b, both, parts)
		}
	})
}

func FuzzNewCharacters(f *testing.F) {
	from := headerSize + int(binary.LittleEndian.Uint32(modelFile[16:]))
	f.Add(modelFile[from:][:binary.LittleEndian.Uint32(modelFile[20:])])
	f.Add([]byte{0x80, 0x80, 0x44, byte(drop)})
	f.Fuzz(func(t *testing.T, runs []byte) {
		table, err := newCharacters(runs)
		if err != nil {
			return
		}
		for r := rune(0); r <= utf8.MaxRune; r += 97 {
			words(table, "a"+string(r)+"b")
		}
	})
}

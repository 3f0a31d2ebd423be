package watched_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/internal/sealed"
	"github.com/lanewise/lanewise/internal/watched"
)

func TestValue_followsTheFileWithinASecond(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	write := func(text string) {
		t.Helper()
		if err := sealed.Replace(file, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	reads := 0
	read := func() (string, error) {
		reads++
		data, err := os.ReadFile(file)
		if string(data) == "bad" {
			err = errors.New("bad")
		}
		return string(data), err
	}
	if _, err := watched.New(nil, read, file); err == nil {
		t.Error("a file that is not there was read")
	}
	write("one")
	synctest.Test(t, func(t *testing.T) {
		v, err := watched.New(nil, read, file)
		if err != nil {
			t.Fatal(err)
		}
		expect := func(want string) {
			t.Helper()
			if got := v.Get(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		write("two") // of the same size
		expect("one")
		time.Sleep(watched.Every)
		expect("two")
		before := reads
		time.Sleep(watched.Every)
		expect("two")
		if reads != before {
			t.Error("a file that has not changed was read again")
		}
		write("bad")
		time.Sleep(watched.Every)
		expect("two")
		_ = os.Remove(file)
		time.Sleep(watched.Every)
		expect("two")
		write("three")
		time.Sleep(watched.Every)
		expect("three")
	})
}

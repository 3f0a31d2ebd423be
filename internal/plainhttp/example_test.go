package plainhttp_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/lanewise/lanewise/internal/plainhttp"
)

func Example() {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "lane 3 is free")
	}))
	defer s.Close()
	t := &plainhttp.Transport{Else: &http.Transport{
		DialContext: (&net.Dialer{Timeout: time.Second}).DialContext, MaxIdleConnsPerHost: 64,
		IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
	}}
	defer t.CloseIdleConnections()
	resp, err := (&http.Client{Transport: t}).Get(s.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	fmt.Println(string(text), err)
	// Output: lane 3 is free <nil>
}

package abort

import (
	"context"
	"fmt"
	"net/http"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/gauges"
)

// Metrics returns the gauge of a server that shows it on a page in Prometheus' text
// format. Where there are several series, as with several engines, it is their sum.
// Its error is fault.Unavailable, also where the page shows none of the known names.
func Metrics(client *http.Client, url string) Gauge {
	return func(ctx context.Context) (float64, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return 0, fault.Wrap(fault.Invalid, "metrics", err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return 0, fault.Wrap(fault.Unavailable, "read metrics", err)
		}
		defer resp.Body.Close() //nolint:errcheck // read only
		if resp.StatusCode != http.StatusOK {
			return 0, fault.New(fault.Unavailable, "%s: status %d", url, resp.StatusCode)
		}
		load, err := gauges.Read(resp.Body, "")
		if err != nil {
			return 0, fmt.Errorf("%s: %w", url, err)
		}
		return load.Running + load.Waiting, nil
	}
}

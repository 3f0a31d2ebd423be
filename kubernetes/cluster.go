package kubernetes

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/net"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
	endpoints "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/lanewise/lanewise/fault"
)

// Config says which cluster, and as whom.
type Config struct {
	// Kubeconfig is a file with the cluster's address and credentials. Empty: those
	// that a pod gets from its service account.
	Kubeconfig string
	// Context of that file. Empty: its current one.
	Context string
	// Namespace of what is named without one. Empty: the pod's own, or the context's.
	Namespace string
	Log       *slog.Logger // nil: none
}

// Cluster is a connection to an API server. Safe for concurrent use.
type Cluster struct {
	client       *http.Client
	namespace    string
	core         core.CoreV1Interface
	endpoints    endpoints.DiscoveryV1Interface
	coordination coordination.CoordinationV1Interface
	log          *slog.Logger
}

// What a cluster is asked in a second, and at once: routers that wait for each other look at their leases every
// 0.1 s, and client-go's own bound of 5 would hold up renewals behind that.
const (
	asksASecond = 50
	asksAtOnce  = 100
)

// ownNamespace is where a pod finds the name of its namespace.
const ownNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// Open reads the credentials. It does not connect. Its error is fault.Invalid.
func Open(c Config) (*Cluster, error) {
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.Context})
	config, namespace, err := load(loader, c.Kubeconfig)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "find the cluster", err)
	}
	config.UserAgent, config.QPS, config.Burst = "lanewise", asksASecond, asksAtOnce
	out := &Cluster{namespace: cmp.Or(c.Namespace, namespace, "default"), log: c.Log}
	if out.log == nil {
		out.log = slog.New(slog.DiscardHandler)
	}
	if err := out.connect(config); err != nil {
		return nil, fault.Wrap(fault.Invalid, "find the cluster", err)
	}
	return out, nil
}

func (c *Cluster) connect(config *rest.Config) (err error) {
	if c.client, err = rest.HTTPClientFor(config); err != nil {
		return err
	}
	if c.core, err = core.NewForConfigAndClient(config, c.client); err != nil {
		return err
	}
	if c.endpoints, err = endpoints.NewForConfigAndClient(config, c.client); err != nil {
		return err
	}
	c.coordination, err = coordination.NewForConfigAndClient(config, c.client)
	return err
}

// Close gives up connections that nobody uses. It returns nil.
func (c *Cluster) Close() error {
	net.CloseIdleConnectionsFor(c.client.Transport)
	return nil
}

func load(loader clientcmd.ClientConfig, file string) (config *rest.Config, namespace string, err error) {
	if file == "" {
		config, err = rest.InClusterConfig()
		own, _ := os.ReadFile(ownNamespace) //nolint:errcheck // the credentials beside it are there, or config is none
		return config, strings.TrimSpace(string(own)), err
	}
	if config, err = loader.ClientConfig(); err != nil {
		return nil, "", err
	}
	namespace, _, err = loader.Namespace()
	return config, namespace, err
}

// Namespace returns that of what is named without one.
func (c *Cluster) Namespace() string { return c.namespace }

// classify says what an error of the API server means.
func classify(doing string, err error) error {
	switch {
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return fault.Wrap(fault.Refused, doing+": the service account lacks the right", err)
	case apierrors.IsNotFound(err):
		return fault.Wrap(fault.NotFound, doing, err)
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return fault.Wrap(fault.Conflict, doing, err)
	}
	return fault.Wrap(fault.Unavailable, doing, err)
}

// within names something by its namespace.
func within(namespace, name string) string { return fmt.Sprintf("%s/%s", namespace, name) }

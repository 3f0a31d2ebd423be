package kubernetes

import (
	"context"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// told waits for an Event.
func (s *show) told(ctx context.Context, reason, text string) {
	s.t.Helper()
	s.until(ctx, reason+" with "+text, func() bool { return strings.Contains(s.events(ctx, reason), text) })
}

// What does not exist is said by the autoscaler, and by the router; and nothing is scaled by it.
func TestAutoscaler_quotesWhatIsRefused(t *testing.T) {
	s, ctx := newShow(t, 2, 1, 0)
	hpas := s.AutoscalingV2().HorizontalPodAutoscalers(s.namespace)
	s.until(ctx, "another metric is asked for", func() bool {
		hpa, err := hpas.Get(ctx, "chat", metav1.GetOptions{})
		if err != nil {
			return false
		}
		hpa.Spec.Metrics[0].External.Metric.Name = "lanewise_happiness"
		_, err = hpas.Update(ctx, hpa, metav1.UpdateOptions{})
		return err == nil // the controller writes, too
	})
	s.until(ctx, "the autoscaler stands still", func() bool { return s.idle(ctx) == "FailedGetExternalMetric" })
	before, _ := s.replicas(ctx)
	const want = `there is no metric "lanewise_happiness"`
	s.told(ctx, "FailedGetExternalMetric", want)
	s.told(ctx, "ExternalMetricRefused", want)
	if after, err := s.replicas(ctx); after != before || err != nil {
		t.Errorf("%d replicas after %d, %v", after, before, err)
	}
	err := s.CoreV1().RESTClient().Get().AbsPath("/apis/external.metrics.k8s.io/v1beta1/namespaces/nowhere/lanewise_queue_depth").Do(ctx).Error()
	if !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), `there are no metrics in namespace "nowhere"`) {
		t.Errorf("%v", err)
	}
}

// While the certificate has expired nothing is scaled; with a new one it goes on, without a restart.
func TestAutoscaler_aCertificateThatExpires(t *testing.T) {
	s, ctx := newShow(t, 2, 1, 0)
	s.trust(ctx, s.certificate(s.served.dir, -time.Second))
	s.until(ctx, "the API is not available", func() bool { ok, why := s.available(ctx); return !ok && strings.Contains(why, "expired") })
	s.until(ctx, "the autoscaler stands still", func() bool { return s.idle(ctx) == "FailedGetExternalMetric" })
	before, _ := s.replicas(ctx)
	s.told(ctx, "CertificateExpired", "tls.crt")
	if after, err := s.replicas(ctx); after != before || err != nil {
		t.Errorf("%d replicas after %d, %v", after, before, err)
	}
	s.trust(ctx, s.certificate(s.served.dir, time.Hour))
	s.until(ctx, "the autoscaler works again", func() bool { return s.idle(ctx) == "" })
}

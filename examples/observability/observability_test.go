package observability_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/getsentry/sentry-go"
	sentryhttp "github.com/getsentry/sentry-go/http"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/cardeatest"
	"github.com/cardea-auth/cardea/examples/observability"
)

func hooked(t *testing.T, iss *cardeatest.Issuer) *cardea.Verifier {
	t.Helper()
	config := iss.VerifierConfig()
	config.OnAuthenticated = func(ctx context.Context, p *cardea.Principal) {
		observability.SentryUser(ctx, p)
		observability.TraceUser(ctx, p)
	}
	config.OnDenied = func(ctx context.Context, d cardea.Denial) {
		observability.SentryDenial(ctx, d)
		observability.TraceDenial(ctx, d)
	}
	v, err := cardea.NewVerifier(config)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func send(h http.Handler, r *http.Request) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// withSentry gives each request a hub of its own, as a service has it.
func withSentry(t *testing.T, transport *sentry.MockTransport, next http.Handler) http.Handler {
	t.Helper()
	client, err := sentry.NewClient(sentry.ClientOptions{Dsn: "https://key@sentry.example/1", Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	inner := sentryhttp.New(sentryhttp.Options{}).Handle(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r.WithContext(sentry.SetHubOnContext(r.Context(), sentry.NewHub(client, sentry.NewScope()))))
	})
}

// S2.16: errors are filed under their own user, also at the same time, and no event holds
// a token or an address of a person.
func TestSentry(t *testing.T) {
	t.Parallel()
	iss := cardeatest.New(t)
	transport := &sentry.MockTransport{}
	guard := hooked(t, iss).Require(cardea.Authenticated())
	h := withSentry(t, transport, guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p, _ := cardea.PrincipalFrom(r.Context())
		sentry.GetHubFromContext(r.Context()).CaptureException(errors.New("broken for " + p.Subject))
	})))
	users := []string{"u-1", "u-2", "u-3", "u-4", "u-5", "u-6", "u-7", "u-8"}
	var all sync.WaitGroup
	for _, id := range users {
		r := iss.Request("GET", "/", cardeatest.User{ID: id, Email: "person@example.com", Tenant: "c-" + id})
		all.Go(func() { send(h, r) })
	}
	all.Wait()
	events := transport.Events()
	if len(events) != len(users) {
		t.Fatalf("%d events", len(events))
	}
	for _, e := range events {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if e.Exception[0].Value != "broken for "+e.User.ID || e.Tags["tenant"] != "c-"+e.User.ID || e.Tags["aal"] != "aal1" {
			t.Errorf("filed under %q: %s", e.User.ID, text)
		}
		if strings.Contains(string(text), "eyJ") || strings.Contains(string(text), "person@example.com") {
			t.Errorf("the event tells too much: %s", text)
		}
	}
}

// TestSentryDenials: a forged token is an event, an ordinary refusal is not.
func TestSentryDenials(t *testing.T) {
	t.Parallel()
	iss := cardeatest.New(t)
	transport := &sentry.MockTransport{}
	guard := hooked(t, iss).Require(cardea.Role("admin"))
	h := withSentry(t, transport, guard(http.NotFoundHandler()))
	user := cardeatest.User{ID: "u-1"}
	if status := send(h, iss.Request("GET", "/", user)); status != http.StatusForbidden || len(transport.Events()) != 0 {
		t.Errorf("%d, %d events", status, len(transport.Events()))
	}
	forged := cardeatest.WithToken(iss.Request("GET", "/", user), iss.Tampered(user))
	if status := send(h, forged); status != http.StatusUnauthorized || len(transport.Events()) != 1 {
		t.Fatalf("%d, %d events", status, len(transport.Events()))
	}
	e := transport.Events()[0]
	if e.Tags["auth.code"] != "INVALID_SIGNATURE" || e.Level != sentry.LevelError || len(e.Breadcrumbs) != 1 || e.User.ID != "" {
		t.Errorf("%+v", e)
	}
}

// TestTraces: the span of a request says who it was for, and why it was refused.
func TestTraces(t *testing.T) {
	t.Parallel()
	iss := cardeatest.New(t)
	spans := tracetest.NewSpanRecorder()
	tracer := trace.NewTracerProvider(trace.WithSpanProcessor(spans)).Tracer("test")
	guard := hooked(t, iss).Require(cardea.Role("doctor"))
	h := guard(http.NotFoundHandler())
	traced := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := tracer.Start(r.Context(), r.Method)
		defer span.End()
		h.ServeHTTP(w, r.WithContext(ctx))
	})
	doctor := cardeatest.User{ID: "u-1", Roles: []string{"doctor"}, Tenant: "c-7", SessionID: "s-1", Email: "person@example.com"}
	send(traced, iss.Request("GET", "/", doctor))
	send(traced, iss.Request("GET", "/", cardeatest.User{ID: "u-2"}))
	ended := spans.Ended()
	if len(ended) != 2 {
		t.Fatalf("%d spans", len(ended))
	}
	got := attribute.NewSet(ended[0].Attributes()...)
	want := attribute.NewSet(attribute.String("enduser.id", "u-1"), attribute.String("auth.tenant", "c-7"),
		attribute.String("auth.aal", "aal1"), attribute.String("session.id", "s-1"))
	if !got.Equals(&want) || len(ended[0].Events()) != 0 {
		t.Errorf("%v", ended[0].Attributes())
	}
	events := ended[1].Events()
	if len(ended[1].Attributes()) != 0 || len(events) != 1 || events[0].Name != "auth.denied" {
		t.Fatalf("%v %v", ended[1].Attributes(), events)
	}
	why := attribute.NewSet(events[0].Attributes...)
	if code, _ := why.Value("auth.code"); code.AsString() != "INSUFFICIENT_ROLE" {
		t.Errorf("%v", events[0].Attributes)
	}
	if required, _ := why.Value("auth.required"); required.AsString() != "role doctor" {
		t.Errorf("%v", events[0].Attributes)
	}
}

// TestWithoutLibraries: where no middleware set anything up, the hooks do nothing.
func TestWithoutLibraries(t *testing.T) {
	t.Parallel()
	iss := cardeatest.New(t)
	h := hooked(t, iss).Require(cardea.Role("doctor"))(http.NotFoundHandler())
	if status := send(h, iss.Request("GET", "/", cardeatest.User{Roles: []string{"doctor"}})); status != http.StatusNotFound {
		t.Error(status)
	}
	if status := send(h, iss.Request("GET", "/", cardeatest.User{})); status != http.StatusForbidden {
		t.Error(status)
	}
}

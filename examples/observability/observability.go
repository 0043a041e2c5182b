// Package observability shows how a service tells its error tracker and its traces who a
// request belongs to: with the hooks OnAuthenticated and OnDenied of package cardea, which
// itself needs neither library. Copy what you need.
//
//	config.OnAuthenticated = func(ctx context.Context, p *cardea.Principal) {
//		observability.SentryUser(ctx, p)
//		observability.TraceUser(ctx, p)
//	}
//	config.OnDenied = func(ctx context.Context, d cardea.Denial) {
//		observability.SentryDenial(ctx, d)
//		observability.TraceDenial(ctx, d)
//	}
//
// The middleware of the tracker and of the traces has to stand outside of the guard: the
// hooks find what it left in the request's context, and do nothing where it left nothing.
//
// Ids go out, and nothing else about the person: no e-mail, no phone, no name, no token.
// Whether an id may leave is a question of the contract with the tracker.
package observability

import (
	"context"

	"github.com/getsentry/sentry-go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/cardea-auth/cardea"
)

// SentryUser is an OnAuthenticated hook: errors of the request are filed under the user.
// It needs a hub for each request in the context, as sentryhttp puts there; the global hub
// would mix the users of all requests.
func SentryUser(ctx context.Context, p *cardea.Principal) {
	hub := sentry.GetHubFromContext(ctx)
	if hub == nil {
		return
	}
	scope := hub.Scope()
	scope.SetUser(sentry.User{ID: p.Subject})
	for name, value := range labels(p) {
		scope.SetTag(name, value)
	}
}

// labels are the few things about a caller that are worth searching for.
func labels(p *cardea.Principal) map[string]string {
	list := map[string]string{}
	for name, value := range map[string]string{"tenant": p.Tenant, "client": p.ClientID, "aal": p.AAL} {
		if value != "" {
			list[name] = value
		}
	}
	return list
}

// SentryDenial is an OnDenied hook. A refusal is a breadcrumb, to be seen beside a later
// error. One that no honest client causes, such as a forged signature, is an event.
func SentryDenial(ctx context.Context, d cardea.Denial) {
	hub := sentry.GetHubFromContext(ctx)
	if hub == nil {
		return
	}
	data := map[string]any{"code": string(d.Err.Code), "required": d.Err.Required, "method": d.Method, "route": d.Pattern}
	hub.AddBreadcrumb(&sentry.Breadcrumb{Category: "auth", Message: "denied", Level: sentry.LevelWarning, Data: data}, nil)
	if d.Err.Severity() != cardea.SeverityCritical {
		return
	}
	hub.WithScope(func(scope *sentry.Scope) {
		scope.SetLevel(sentry.LevelError)
		scope.SetTag("auth.code", string(d.Err.Code))
		hub.CaptureMessage("token refused: " + d.Err.Message)
	})
}

// TraceUser is an OnAuthenticated hook: the span of the request says who it was for, in
// the words of OpenTelemetry's conventions.
func TraceUser(ctx context.Context, p *cardea.Principal) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return // don't build attributes that nobody keeps
	}
	attributes := []attribute.KeyValue{attribute.String("enduser.id", p.Subject)}
	for name, value := range labels(p) {
		attributes = append(attributes, attribute.String("auth."+name, value))
	}
	if p.SessionID != "" {
		attributes = append(attributes, attribute.String("session.id", p.SessionID))
	}
	span.SetAttributes(attributes...)
}

// TraceDenial is an OnDenied hook: an event in the span says why the request was refused,
// or went on without a user.
func TraceDenial(ctx context.Context, d cardea.Denial) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.AddEvent("auth.denied", trace.WithAttributes(
		attribute.String("auth.code", string(d.Err.Code)),
		attribute.String("auth.severity", string(d.Err.Severity())),
		attribute.String("auth.required", d.Err.Required),
		attribute.Bool("auth.anonymous", d.Anonymous),
	))
}

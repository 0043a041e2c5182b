// Package web is the HTTP plumbing that every surface shares: handlers that return errors,
// one event a request, the client's address, body limits, CORS, security headers. It knows
// no route and no wire shape of its own.
package web

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// HandlerFunc answers a request or returns an error; it must not have written anything when
// it returns one.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// ErrorWriter puts an error into a surface's wire shape.
type ErrorWriter func(w http.ResponseWriter, r *http.Request, err *auth.Error)

// Handle adapts h. An error that is not an *auth.Error is CodeInternal: its text goes to the
// log and nowhere else.
func Handle(h HandlerFunc, write ErrorWriter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		e := AsError(r.Context(), err)
		if ev := EventFrom(r.Context()); ev != nil {
			ev.Code, ev.Err = e.Code, err
		}
		write(w, r, e)
	})
}

// AsError gives err as an *auth.Error. Where the request's own time limit ran out, whatever
// failed because of it is CodeRequestTimeout.
func AsError(ctx context.Context, err error) *auth.Error {
	var e *auth.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return auth.Wrap(auth.CodeRequestTimeout, err)
	default:
		return auth.Wrap(auth.CodeInternal, err)
	}
}

// Event is what one request leaves behind: one log line.
type Event struct {
	RequestID string
	IP        string
	Route     string // pattern of the mux, set by the handler's registration
	UserID    string
	Code      auth.Code
	Err       error
}

type eventKey struct{}

// EventFrom gives the event of the request, nil outside of [Stack].
func EventFrom(ctx context.Context) *Event {
	ev, _ := ctx.Value(eventKey{}).(*Event)
	return ev
}

// Meta gives what the domain wants to know of a request.
func Meta(r *http.Request) auth.Meta {
	m := auth.Meta{UserAgent: r.UserAgent()}
	if len(m.UserAgent) > 512 {
		m.UserAgent = m.UserAgent[:512]
	}
	if !auth.CleanText(m.UserAgent) {
		m.UserAgent = "" // bytes that no database takes; a header is no reason to refuse a sign-in
	}
	if ev := EventFrom(r.Context()); ev != nil {
		m.IP = ev.IP
	}
	return m
}

// Config is what [Stack] needs. The zero value is strict: no proxy is trusted, no origin
// allowed.
type Config struct {
	Log     *slog.Logger
	Now     func() time.Time
	Rand    io.Reader // makes request ids
	Client  ClientIP
	CORS    CORS
	HSTS    bool          // the public URL is https
	Timeout time.Duration // of one request's work
	MaxBody int64         // bytes

	// Done, if not nil, hears of each request that was answered; it must not wait.
	Done func(ev *Event)
}

// Stack puts what every request goes through around next, outermost first: event and log
// line, panic to 500, security headers, CORS, body limit, time limit.
func Stack(c Config, next http.Handler) http.Handler {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	inner := c.CORS.wrap(limits(c, next))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := c.Now()
		ev := &Event{RequestID: requestID(c.Rand), IP: c.Client.From(r)}
		rec := &recorder{ResponseWriter: w}
		securityHeaders(rec.Header(), c.HSTS)
		rec.Header().Set("X-Request-Id", ev.RequestID)
		r = r.WithContext(context.WithValue(r.Context(), eventKey{}, ev))
		defer func() {
			if p := recover(); p != nil {
				ev.Code, ev.Err = auth.CodeInternal, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
				if !rec.wrote {
					rec.Header().Set("Content-Type", "application/json")
					rec.WriteHeader(http.StatusInternalServerError)
					_, _ = io.WriteString(rec, `{"code":500,"error_code":"unexpected_failure","msg":"Unexpected failure, please check server logs for more information"}`)
				}
			}
			logRequest(c, r, ev, rec, start)
			if c.Done != nil {
				c.Done(ev)
			}
		}()
		inner.ServeHTTP(rec, r)
	})
}

func limits(c Config, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.MaxBody > 0 && r.Body != nil {
			r.Body = http.MaxBytesReader(w, r.Body, c.MaxBody)
		}
		if c.Timeout > 0 {
			ctx, cancel := context.WithTimeout(r.Context(), c.Timeout)
			defer cancel()
			r = r.WithContext(ctx)
		}
		next.ServeHTTP(w, r)
	})
}

// securityHeaders are right for answers of an API. Pages set their own on top.
func securityHeaders(h http.Header, hsts bool) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	if hsts {
		h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	}
}

func logRequest(c Config, r *http.Request, ev *Event, rec *recorder, start time.Time) {
	if c.Log == nil {
		return
	}
	level := slog.LevelInfo
	if rec.status() >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	if !c.Log.Enabled(r.Context(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path), // never the query: it can hold tokens
		slog.Int("status", rec.status()), slog.Duration("took", c.Now().Sub(start)),
		slog.String("ip", ev.IP), slog.String("request_id", ev.RequestID),
	}
	if ev.Code != "" {
		attrs = append(attrs, slog.String("code", string(ev.Code)))
	}
	if ev.Err != nil && level == slog.LevelError {
		attrs = append(attrs, slog.String("error", ev.Err.Error()))
	}
	if ev.UserID != "" {
		attrs = append(attrs, slog.String("user_id", ev.UserID))
	}
	c.Log.LogAttrs(r.Context(), level, "request", attrs...)
}

func requestID(rand io.Reader) string {
	var b [12]byte
	_, _ = io.ReadFull(rand, b[:]) // an id of zeros is no danger: it only names a log line
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter

	code  int
	wrote bool
}

func (r *recorder) WriteHeader(code int) {
	if !r.wrote {
		r.code, r.wrote = code, true
	}
	r.ResponseWriter.WriteHeader(code)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = true
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) status() int {
	if r.code == 0 {
		return http.StatusOK
	}
	return r.code
}

// Document is an answer that is sent byte by byte: it is signed, and an encoder would write
// some of its characters in another way.
type Document interface{ JSON() []byte }

// WriteJSON answers with v. A value that can't be encoded is an error, and nothing has been
// written.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	var b []byte
	if d, ok := v.(Document); ok {
		b = d.JSON()
	} else {
		var err error
		if b, err = json.Marshal(v); err != nil {
			return fmt.Errorf("web: encode answer: %w", err)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client has gone: nobody is left to tell
	return nil
}

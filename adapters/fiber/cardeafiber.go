// Package cardeafiber guards the routes of a Fiber v3 server with package cardea: the
// guards, hooks and answers of net/http, as Fiber handlers.
//
//	import cardeafiber "github.com/cardea-auth/cardea/adapters/fiber"
//
//	app.Get("/me", cardeafiber.Require(v, cardea.Authenticated()), me)
//
// A refused request gets the answer that the Verifier's ErrorEncoder writes, not that of
// Fiber's ErrorHandler, and no further handler runs. Fiber does not recover from panics by
// itself: use its recover middleware, as net/http has it built in.
//
// # Requests
//
// Fiber knows no *http.Request, so the guard makes one for requirements, hooks and the
// encoder. It says what the handler would read from the fiber.Ctx, and all of it is
// copied, because Fiber reuses its buffers for the next request:
//
//   - r.Header: all headers, each as often as it was sent.
//   - r.PathValue: c.Params of the route that the guard belongs to. A guard that was added
//     by app.Use with another path does not know the parameters of the route.
//   - r.URL: the path; the query as Fiber has parsed it.
//   - r.Body: read from Fiber when a requirement reads it, and only until the guard has
//     decided. The body stays whole for the handler. A compressed body can't be read,
//     because what it says depends on who decompresses it; nor can one that the server
//     streams (fiber.Config.StreamRequestBody), because it may be larger than the memory.
//   - r.TLS, trailers and form values from Fiber's own parser are absent.
//
// What is absent makes a requirement that needs it refuse.
//
// Behind a guard the Principal is in c.Context(): hand that down, and not c itself, whose
// Value knows nothing of it.
package cardeafiber

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v3"

	"github.com/cardea-auth/cardea"
)

// Require lets only callers pass who have a valid token and meet all requirements, as
// [cardea.Verifier.Require] does. A nil Verifier or requirement is a programming error:
// Require panics when the route is registered.
func Require(v *cardea.Verifier, first cardea.Requirement, more ...cardea.Requirement) fiber.Handler {
	if v == nil {
		panic("cardeafiber: Require with a nil Verifier")
	}
	return Guard(v.Require(first, more...))
}

// Optional lets every caller pass, with a Principal if there is a valid token, as
// [cardea.Verifier.Optional] does. A nil Verifier is a programming error: it panics.
func Optional(v *cardea.Verifier) fiber.Handler {
	if v == nil {
		panic("cardeafiber: Optional with a nil Verifier")
	}
	return Guard(v.Optional())
}

// Principal gives the caller, as [cardea.PrincipalFrom] does: behind Require there always
// is one, behind Optional false means an anonymous caller.
func Principal(c fiber.Ctx) (*cardea.Principal, bool) {
	return cardea.PrincipalFrom(c.Context())
}

// Guard makes a Fiber handler of any guard of net/http that package cardea gives; Require
// and Optional are made with it. Of what the guard hands on, the next handlers see the
// context. A nil guard is a programming error: it panics.
func Guard(guard func(http.Handler) http.Handler) fiber.Handler {
	if guard == nil {
		panic("cardeafiber: nil guard")
	}
	type passedKey struct{}
	guarded := guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if passed, ok := r.Context().Value(passedKey{}).(**http.Request); ok {
			*passed = r
		}
	}))
	return func(c fiber.Ctx) error {
		var passed *http.Request
		body := &lazyBody{c: c}
		defer body.end()
		refusal := &answer{c: c}
		guarded.ServeHTTP(refusal, request(context.WithValue(c.Context(), passedKey{}, &passed), c, body))
		if passed == nil {
			refusal.send()
			return nil
		}
		body.end()
		c.SetContext(passed.Context())
		return c.Next()
	}
}

// request tells what is known of the request in the words of net/http.
func request(ctx context.Context, c fiber.Ctx, body *lazyBody) *http.Request {
	in := c.Request()
	r := (&http.Request{
		Method: strings.Clone(c.Method()), Header: http.Header{}, Host: string(in.Host()),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		RemoteAddr: c.RequestCtx().RemoteAddr().String(),
		RequestURI: string(in.RequestURI()),
		URL:        &url.URL{Path: strings.Clone(c.Path())},
		Body:       http.NoBody,
	}).WithContext(ctx)
	for name, value := range in.Header.All() {
		r.Header.Add(string(name), string(value))
	}
	r.Header.Del("Host") // as in net/http
	// Not the query as it was sent: where two parsers disagree about it, the guard would
	// judge another value than the handler uses.
	if args := in.URI().QueryArgs(); args.Len() > 0 {
		query := url.Values{}
		for name, value := range args.All() {
			query.Add(string(name), string(value))
		}
		r.URL.RawQuery = query.Encode()
	}
	for _, name := range c.Route().Params {
		r.SetPathValue(strings.Clone(name), strings.Clone(c.Params(name)))
	}
	if length := in.Header.ContentLength(); length != 0 {
		r.Body, r.ContentLength = body, max(int64(length), -1) // -1: chunked
	}
	return r
}

// lazyBody reads the body from Fiber when it is asked for.
type lazyBody struct {
	c      fiber.Ctx // nil: over
	reader *strings.Reader
}

var (
	errBodyOver       = errors.New("cardeafiber: the body can be read only until the guard has decided")
	errBodyCompressed = errors.New("cardeafiber: the body is compressed")
	errBodyStreamed   = errors.New("cardeafiber: the body is streamed")
)

// Read implements io.Reader.
func (b *lazyBody) Read(into []byte) (int, error) {
	if b.c == nil {
		return 0, errBodyOver
	}
	if b.reader == nil {
		if coding := b.c.Get(fiber.HeaderContentEncoding); coding != "" && !strings.EqualFold(coding, "identity") {
			return 0, errBodyCompressed
		}
		if b.c.Request().IsBodyStream() { // BodyRaw would read it to the end, whatever its length
			return 0, errBodyStreamed
		}
		b.reader = strings.NewReader(string(b.c.BodyRaw()))
	}
	return b.reader.Read(into)
}

// Close implements io.Closer.
func (b *lazyBody) Close() error { return nil }

// end forgets the fiber.Ctx, which belongs to another request soon: somebody may have kept
// the *http.Request.
func (b *lazyBody) end() { b.c, b.reader = nil, nil }

// answer keeps what an encoder writes.
type answer struct {
	c      fiber.Ctx
	header http.Header // nil: not asked for yet
	status int
	body   []byte
}

// Header implements http.ResponseWriter. It begins with what was set outside of the guard,
// so that an encoder adds to Vary as it does in net/http.
func (a *answer) Header() http.Header {
	if a.header == nil {
		a.header = http.Header{}
		for name, value := range a.c.Response().Header.All() {
			// Without a Content-Type, All tells fasthttp's default.
			if !ofServer(string(name)) && string(name) != fiber.HeaderContentType {
				a.header.Add(string(name), string(value))
			}
		}
	}
	return a.header
}

// ofServer: cookies, and what the server says about itself and the connection, stay with
// Fiber.
func ofServer(name string) bool {
	switch name {
	case fiber.HeaderContentLength, fiber.HeaderConnection, fiber.HeaderDate, fiber.HeaderServer,
		fiber.HeaderSetCookie, fiber.HeaderTrailer:
		return true
	}
	return false
}

// WriteHeader implements http.ResponseWriter: the first status counts.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.body = append(a.body, b...)
	return len(b), nil
}

// send hands the answer to Fiber.
func (a *answer) send() {
	header := a.Header()
	if len(a.body) > 0 && header.Get("Content-Type") == "" {
		header.Set("Content-Type", http.DetectContentType(a.body)) // as net/http does
	}
	out := a.c.Response()
	var before []string
	for name := range out.Header.All() {
		if !ofServer(string(name)) {
			before = append(before, string(name))
		}
	}
	for _, name := range before {
		out.Header.Del(name)
	}
	for name, values := range header {
		for _, value := range values {
			out.Header.Add(name, value)
		}
	}
	if a.status == 0 { // the guard said neither yes nor no
		a.status = http.StatusInternalServerError
	}
	out.SetStatusCode(a.status)
	out.SetBody(a.body)
}

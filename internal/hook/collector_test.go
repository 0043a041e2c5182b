package hook_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/hook"
)

const collectorSecret = "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

var (
	erasureID = auth.ID{1, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, 12, 13, 14, 15, 16}
	personID  = auth.ID{9, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, 12, 13, 14, 15, 16}
)

// collector is an application that answers what the test says.
type collector struct {
	*httptest.Server

	mu   sync.Mutex
	seen []http.Header
	body []string
}

func newCollector(t *testing.T, answer http.HandlerFunc) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		c.seen, c.body = append(c.seen, r.Header.Clone()), append(c.body, string(b))
		c.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) requests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

func collectors(t *testing.T, url string, timeout time.Duration, phases ...string) *hook.Collectors {
	t.Helper()
	c, err := hook.NewCollectors([]hook.Collector{{Name: "cases", URL: url, Secrets: collectorSecret, Timeout: timeout, Phases: phases}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func says(kind, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, text)
	}
}

const (
	aboutBoth  = `"id":"01020304-0506-7008-800a-0b0c0d0e0f10","user_id":"09020304-0506-7008-800a-0b0c0d0e0f10"`
	haveErased = `{` + aboutBoth + `,"status":"erased"}`
)

// X16: a collector has erased when it says so exactly; its request is signed, and the same at
// each try.
func TestCollectorErases(t *testing.T) {
	t.Parallel()
	app := newCollector(t, says("application/json; charset=utf-8", haveErased))
	c := collectors(t, app.URL+"/privacy?key=hidden", 0, hook.PhaseErase)
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	for range 2 {
		if err := c.Erase(t.Context(), "cases", erasureID, personID, at); err != nil {
			t.Fatal(err)
		}
	}
	secrets, err := hook.ParseSecrets(collectorSecret)
	if err != nil {
		t.Fatal(err)
	}
	app.mu.Lock()
	defer app.mu.Unlock()
	for i, h := range app.seen {
		if err := secrets.Verify(h, []byte(app.body[i]), time.Now()); err != nil {
			t.Error(err)
		}
		if h.Get("Idempotency-Key") != erasureID.String() || h.Get(hook.HeaderID) != erasureID.String() || app.body[i] != app.body[0] {
			t.Errorf("%v %s", h, app.body[i])
		}
	}
	if want := `{"type":"person.erase",` + aboutBoth + `,"timestamp":"2026-03-01T08:00:00Z"}`; app.body[0] != want {
		t.Errorf("%s\nwant %s", app.body[0], want)
	}
}

// Whatever else a collector says, it has not erased: an error, a page for everybody, an
// answer about somebody else, one that says two things, one that never ends.
func TestCollectorLies(t *testing.T) {
	t.Parallel()
	json := func(text string) http.HandlerFunc { return says("application/json", text) }
	for name, answer := range map[string]http.HandlerFunc{
		"nothing":         func(http.ResponseWriter, *http.Request) {},
		"ok":              json(`{"ok":true}`),
		"success":         json(`{"success":true,"status":"erased"}`),
		"empty":           json(`{}`),
		"null":            json(`null`),
		"list":            json(`[` + haveErased + `]`),
		"two documents":   json(haveErased + haveErased),
		"broken":          json(haveErased[:len(haveErased)-1]),
		"another person":  json(strings.Replace(haveErased, "09020304", "08020304", 1)),
		"another request": json(strings.Replace(haveErased, "01020304", "02020304", 1)),
		"not yet":         json(strings.Replace(haveErased, `"erased"`, `"pending"`, 1)),
		"true":            json(strings.Replace(haveErased, `"erased"`, `true`, 1)),
		"other letters":   json(strings.Replace(haveErased, `"status"`, `"STATUS"`, 1)),
		"more":            json(strings.Replace(haveErased, `}`, `,"but":"not all"}`, 1)),
		"two statuses":    json(strings.Replace(haveErased, `}`, `,"status":"erased"}`, 1)),
		"as text":         says("text/html", haveErased),
		"without type":    says("", haveErased),
		"too long":        json(`{"x":"` + strings.Repeat("x", 20<<10) + `"}`),
		"500":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"404":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"accepted": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			json(haveErased)(w, r)
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"hangs":      func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"ends in the middle": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "999")
			json(haveErased)(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := newCollector(t, answer)
			c := collectors(t, app.URL+"/?key=hidden", 200*time.Millisecond, hook.PhaseErase)
			err := c.Erase(t.Context(), "cases", erasureID, personID, time.Now())
			if err == nil || strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), "127.0.0.1") && strings.Contains(err.Error(), "key") {
				t.Errorf("%v", err)
			}
			if n := app.requests(); n > 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestCollectorExports(t *testing.T) {
	t.Parallel()
	app := newCollector(t, says("application/json", `{`+aboutBoth+`,"data":{"cases":[{"n":12345678901234567890}]}}`))
	c := collectors(t, app.URL, 0, hook.PhaseExport)
	data, err := c.Export(t.Context(), "cases", erasureID, personID, time.Now())
	if err != nil || string(data) != `{"cases":[{"n":12345678901234567890}]}` {
		t.Errorf("%s, %v", data, err)
	}
	if err := c.Erase(t.Context(), "cases", erasureID, personID, time.Now()); err == nil {
		t.Error("a collector of exports erased")
	}
	for _, text := range []string{`{` + aboutBoth + `}`, `{` + aboutBoth + `,"data":null}`, `{` + aboutBoth + `,"data":[]}`, `{` + aboutBoth + `,"data":{},"error":"half"}`} {
		app := newCollector(t, says("application/json", text))
		if data, err := collectors(t, app.URL, 0, hook.PhaseExport).Export(t.Context(), "cases", erasureID, personID, time.Now()); err == nil {
			t.Errorf("%s gave %s", text, data)
		}
	}
}

func TestCollectorsAreChecked(t *testing.T) {
	t.Parallel()
	good := hook.Collector{Name: "cases", URL: "https://cases.example/privacy", Secrets: collectorSecret, Phases: []string{hook.PhaseErase}}
	with := func(f func(*hook.Collector)) hook.Collector { c := good; f(&c); return c }
	for name, c := range map[string]hook.Collector{
		"name":     with(func(c *hook.Collector) { c.Name = "Cases!" }),
		"plain":    with(func(c *hook.Collector) { c.URL = "http://cases.example" }),
		"function": with(func(c *hook.Collector) { c.URL = "pg-functions://postgres/public/erase" }),
		"password": with(func(c *hook.Collector) { c.URL = "https://a:b@cases.example" }),
		"file":     with(func(c *hook.Collector) { c.URL = "file:///etc/passwd" }),
		"secret":   with(func(c *hook.Collector) { c.Secrets = "short" }),
		"none":     with(func(c *hook.Collector) { c.Secrets = "" }),
		"phases":   with(func(c *hook.Collector) { c.Phases = nil }),
		"phase":    with(func(c *hook.Collector) { c.Phases = []string{"forget"} }),
		"timeout":  with(func(c *hook.Collector) { c.Timeout = time.Hour }),
	} {
		if _, err := hook.NewCollectors([]hook.Collector{c}, nil, nil); err == nil || strings.Contains(err.Error(), "MfKQ9r8") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := hook.NewCollectors([]hook.Collector{good, good}, nil, nil); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Error(err)
	}
	c, err := hook.NewCollectors([]hook.Collector{good}, nil, nil)
	if err != nil || len(c.Names(hook.PhaseErase)) != 1 || len(c.Names(hook.PhaseExport)) != 0 {
		t.Errorf("%v %v", c, err)
	}
}

// Whatever a collector answers, it is an erasure only in the one form, and nothing panics.
func FuzzCollectorAnswer(f *testing.F) {
	for _, s := range []string{haveErased, `{}`, `{"id":1}`, `[`, haveErased + ` `, `{` + aboutBoth + `,"status":"erased","status":"erased"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := hook.NewCollectors([]hook.Collector{{Name: "cases", URL: "https://cases.example", Secrets: collectorSecret, Phases: []string{hook.PhaseErase}}},
			answering(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.Erase(t.Context(), "cases", erasureID, personID, time.Now()) != nil {
			return
		}
		var v struct {
			ID     string `json:"id"`
			UserID string `json:"user_id"`
			Status string `json:"status"`
		}
		if json.Unmarshal([]byte(text), &v) != nil || v.Status != "erased" {
			t.Fatalf("%q was taken for an erasure", text)
		}
	})
}

type answering string

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(string(a))), Request: r,
	}, nil
}

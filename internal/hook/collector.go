package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// What a collector is asked for.
const (
	PhaseExport = "export" // what it knows of a person
	PhaseErase  = "erase"  // to erase it
)

// Collector is an application that keeps data of people of its own, behind HTTP.
type Collector struct {
	Name    string // small letters, digits, - and _
	URL     string // https, http on this machine only
	Secrets string // see ParseSecrets
	Timeout time.Duration
	Phases  []string
}

// String hides the secrets.
func (c Collector) String() string { return c.Name }

// Format hides the secrets from every verb.
func (c Collector) Format(f fmt.State, _ rune) { fmt.Fprint(f, c.Name) }

// Limits of collectors.
const (
	collectorTimeout = 10 * time.Second
	longestTimeout   = 2 * time.Minute
	maxErased        = 16 << 10 // bytes of the answer to erase
	maxExported      = 16 << 20 // bytes of the answer to export
)

var collectorName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// Collectors asks applications for what they know of people, and to erase it. Requests are
// signed like those of hooks and go nowhere but where they are sent. One ask is one request:
// who asks tries again.
type Collectors struct {
	list []registered
	now  func() time.Time
}

type registered struct {
	Collector

	secrets Secrets
	client  *http.Client
}

// NewCollectors checks what is configured; the error lists all that is wrong. transport nil:
// an own one, without a proxy; now nil: the clock.
func NewCollectors(list []Collector, transport http.RoundTripper, now func() time.Time) (*Collectors, error) {
	if now == nil {
		now = time.Now
	}
	out := &Collectors{now: now}
	var problems []error
	for _, c := range list {
		r, err := c.register(transport)
		if err == nil && out.find(c.Name) != nil {
			err = errors.New("is there twice")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("collector %q: %w", c.Name, err))
			continue
		}
		out.list = append(out.list, r)
	}
	return out, errors.Join(problems...)
}

func (c Collector) register(transport http.RoundTripper) (registered, error) {
	switch {
	case !collectorName.MatchString(c.Name):
		return registered{}, errors.New("the name must have 1 to 63 small letters, digits, - and _")
	case len(c.Phases) == 0:
		return registered{}, errors.New("phases are missing: export, erase or both")
	case c.Timeout < 0 || c.Timeout > longestTimeout:
		return registered{}, errors.New("the timeout must be from 1s to 2m")
	}
	for _, p := range c.Phases {
		if p != PhaseExport && p != PhaseErase {
			return registered{}, fmt.Errorf("phase %q is neither export nor erase", p)
		}
	}
	a, secrets, wrong := Endpoint{Enabled: true, URI: c.URL, Secrets: c.Secrets}.parse(Name(c.Name))
	if len(wrong) > 0 {
		return registered{}, fmt.Errorf("%s %s", wrong[0].Field, wrong[0].Text)
	}
	if a.url == "" {
		return registered{}, errors.New("the URL must begin with https://")
	}
	c.URL = a.url
	if c.Timeout == 0 {
		c.Timeout = collectorTimeout
	}
	client := newClient(transport)
	client.Timeout = c.Timeout
	return registered{c, secrets, client}, nil
}

func (c *Collectors) find(name string) *registered {
	for i := range c.list {
		if c.list[i].Name == name {
			return &c.list[i]
		}
	}
	return nil
}

// Names lists the collectors of a phase, in the order of the configuration.
func (c *Collectors) Names(phase string) []string {
	var names []string
	for i := range c.list {
		if slices.Contains(c.list[i].Phases, phase) {
			names = append(names, c.list[i].Name)
		}
	}
	return names
}

// collectorRequest is what a collector gets. ID is the same at every try: it is the
// idempotency key.
type collectorRequest struct {
	Type      string    `json:"type"` // "person.erase" or "person.export"
	ID        auth.ID   `json:"id"`
	UserID    auth.ID   `json:"user_id"`
	Timestamp time.Time `json:"timestamp"` // when it was asked for first
}

// Erase asks a collector to erase what it knows of a person. A nil error means that it has
// said so in the one way that counts: status 200 and
//
//	{"id": "<that of the request>", "user_id": "<that of the request>", "status": "erased"}
//
// Whatever else it answers, however friendly, is an error: a page that says "ok" to everybody
// must not be taken for an erasure.
func (c *Collectors) Erase(ctx context.Context, name string, id, user auth.ID, at time.Time) error {
	answer, err := c.ask(ctx, name, PhaseErase, collectorRequest{"person.erase", id, user, at.UTC()}, maxErased)
	if err != nil {
		return err
	}
	var status string
	if json.Unmarshal(answer["status"], &status) != nil || status != "erased" || len(answer) != 3 {
		return errors.New(`the answer is not {"id", "user_id", "status": "erased"}`)
	}
	return nil
}

// Export asks a collector for what it knows of a person: a JSON object, as it was answered in
//
//	{"id": "...", "user_id": "...", "data": {...}}
func (c *Collectors) Export(ctx context.Context, name string, id, user auth.ID, at time.Time) (json.RawMessage, error) {
	answer, err := c.ask(ctx, name, PhaseExport, collectorRequest{"person.export", id, user, at.UTC()}, maxExported)
	if err != nil {
		return nil, err
	}
	var object map[string]json.RawMessage
	if len(answer) != 3 || json.Unmarshal(answer["data"], &object) != nil || object == nil {
		return nil, errors.New(`the answer is not {"id", "user_id", "data": {...}}`)
	}
	return answer["data"], nil
}

// ask makes one request and gives the members of the answer, which names what it is about.
func (c *Collectors) ask(ctx context.Context, name, phase string, body collectorRequest, most int64) (map[string]json.RawMessage, error) {
	r := c.find(name)
	if r == nil || !slices.Contains(r.Phases, phase) {
		return nil, errors.New("there is no collector of this name in the configuration")
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(text))
	if err != nil {
		return nil, withoutURL(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "cardea")
	req.Header.Set("Idempotency-Key", body.ID.String())
	r.secrets.Sign(req.Header, body.ID.String(), c.now(), text)
	res, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no answer: %w", withoutURL(err))
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", res.StatusCode)
	}
	if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, errors.New("the answer is not application/json")
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the answer ended early: %w", withoutURL(err))
	case int64(len(answer)) > most:
		return nil, fmt.Errorf("the answer has more than %d bytes", most)
	}
	return readCollected(answer, body.ID, body.UserID)
}

// readCollected reads an answer that has to name request and person. Member names are exact,
// and none may be there twice: of two the other one may be the lie.
func readCollected(answer []byte, id, user auth.ID) (map[string]json.RawMessage, error) {
	if !json.Valid(answer) {
		return nil, errors.New("the answer is no JSON")
	}
	members := map[string]json.RawMessage{}
	d := json.NewDecoder(bytes.NewReader(answer))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("the answer is no JSON object")
	}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errors.New("the answer is no JSON object")
		}
		if _, twice := members[name]; twice {
			return nil, errors.New("the answer has a member twice")
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, errors.New("the answer is no JSON object")
		}
		members[name] = v
	}
	for name, want := range map[string]auth.ID{"id": id, "user_id": user} {
		var got string
		if json.Unmarshal(members[name], &got) != nil || !strings.EqualFold(got, want.String()) {
			return nil, fmt.Errorf("the answer is about another %s", name)
		}
	}
	return members, nil
}

package hook

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Name is the name of a hook, as its payload has it.
type Name string

// The hooks.
const (
	BeforeUserCreated    Name = "before-user-created"
	AfterUserCreated     Name = "after-user-created"
	SendEmail            Name = "send-email"
	SendSMS              Name = "send-sms"
	CustomizeAccessToken Name = "customize-access-token"
	PasswordVerification Name = "password-verification"
	MFAVerification      Name = "mfa-verification"
)

// Endpoint is where a hook is and what its requests are signed with.
type Endpoint struct {
	Enabled bool
	URI     string // https://..., http://... on this machine, or pg-functions://<any>/<schema>/<function>
	Secrets string // see ParseSecrets; needed for web services, unused for functions
}

// String hides the secrets.
func (e Endpoint) String() string { return fmt.Sprintf("{%v %s}", e.Enabled, e.kind()) }

// Format hides the secrets from every verb.
func (e Endpoint) Format(f fmt.State, _ rune) { fmt.Fprint(f, e.String()) }

// LogValue hides the secrets.
func (e Endpoint) LogValue() slog.Value { return slog.StringValue(e.String()) }

// kind is what may be shown of the URI: a query may hold a key.
func (e Endpoint) kind() string {
	before, _, _ := strings.Cut(e.URI, "?")
	return before
}

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Hook  Name
	Field string // "uri", "secrets", "user" or "database"
	Text  string // never holds a secret
}

// Error implements error.
func (p Problem) Error() string { return fmt.Sprintf("hook %s: %s: %s", p.Hook, p.Field, p.Text) }

// functionName is GoTrue's, and what can be written without quotes in PostgreSQL. We quote
// all the same.
var functionName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

// address is a parsed URI: of a web service, or of a function.
type address struct {
	url              string // of a web service
	schema, function string
}

func parseURI(text string) (address, error) {
	if text == "" {
		return address{}, errors.New("is missing")
	}
	u, err := url.Parse(text)
	if err != nil {
		return address{}, errors.New("is no URI") // the error would repeat it
	}
	switch {
	case u.User != nil:
		return address{}, errors.New("must not hold a name or password: requests are signed with the secrets")
	case strings.Contains(text, "#"):
		return address{}, errors.New("must not have a fragment")
	case u.Opaque != "" || u.Hostname() == "":
		return address{}, errors.New("has no host")
	}
	switch u.Scheme {
	case "https":
		return address{url: u.String()}, nil
	case "http":
		if !slices.Contains([]string{"localhost", "127.0.0.1", "::1", "host.docker.internal"}, strings.ToLower(u.Hostname())) {
			return address{}, errors.New("must be https://: http:// is for localhost, 127.0.0.1, [::1] and host.docker.internal")
		}
		return address{url: u.String()}, nil
	case "pg-functions":
		parts := strings.Split(u.EscapedPath(), "/")
		if len(parts) != 3 || parts[0] != "" || u.RawQuery != "" || u.ForceQuery ||
			!functionName.MatchString(parts[1]) || !functionName.MatchString(parts[2]) {
			return address{}, errors.New("must be pg-functions://postgres/<schema>/<function>, with names of letters, digits and _")
		}
		return address{schema: parts[1], function: parts[2]}, nil
	}
	return address{}, errors.New("must begin with https://, http:// or pg-functions://")
}

// parse gives the parts of an endpoint, or all that is wrong with it.
func (e Endpoint) parse(name Name) (address, Secrets, []Problem) {
	var problems []Problem
	a, err := parseURI(e.URI)
	if err != nil {
		problems = append(problems, Problem{name, "uri", err.Error()})
	}
	if a.function != "" {
		return a, Secrets{}, problems
	}
	if strings.TrimSpace(e.Secrets) == "" {
		if a.url != "" { // else what is missing can't be told yet
			problems = append(problems, Problem{name, "secrets", "is missing: without it the receiver can't tell our requests from others"})
		}
		return a, Secrets{}, problems
	}
	s, err := ParseSecrets(e.Secrets)
	if err != nil {
		problems = append(problems, Problem{name, "secrets", err.Error()})
	}
	return a, s, problems
}

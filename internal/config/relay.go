package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Modes of the server.
const (
	ModeAuthority = "authority" // it holds the credentials and issues the tokens
	ModeRelay     = "relay"     // a trusted issuer does; the server verifies, provisions and enforces
)

// Kinds of trusted issuers.
const (
	KindSupabase = "supabase"
	KindCardea   = "cardea"
	KindOIDC     = "oidc"
)

// Relay says whose tokens the server's own surfaces take besides its own.
type Relay struct {
	Mode         string
	Provisioning string // "required" or "best_effort"
	Issuers      []TrustedIssuer

	One  TrustedIssuer // of the variables, whether it counts or not
	File string        // path of a list of more of them
}

// TrustedIssuer is another issuer of tokens.
type TrustedIssuer struct {
	Name       string   // of the identities of its users
	Kind       string   // a Kind constant
	URL        string   // claim iss; for Supabase the project's address will do
	Audiences  []string // one of which a token has to have
	APIKey     Secret   // publishable or anon key of Supabase's gateway
	ServiceKey Secret   // asks about users whose token is not at hand any more; usually none
	Secret     Secret   // shared HS256 secret, where the issuer has no public keys
}

const (
	nameMode         = "CARDEA_MODE"
	nameTrusted      = "CARDEA_TRUSTED_ISSUER"
	nameTrustedKey   = "CARDEA_TRUSTED_APIKEY"
	nameTrustedFile  = "CARDEA_TRUSTED_ISSUERS_FILE"
	nameTrustedName  = "CARDEA_TRUSTED_NAME"
	nameTrustedKind  = "CARDEA_TRUSTED_KIND"
	nameTrustedAud   = "CARDEA_TRUSTED_AUDIENCES"
	nameTrustedHMAC  = "CARDEA_TRUSTED_SECRET"
	nameProvisioning = "CARDEA_PROVISIONING"
)

func relaySettings() []Setting {
	const group = "Trusted issuers"
	one := func(c *Config) *TrustedIssuer { return &c.Relay.One }
	return []Setting{
		{Name: nameMode, Group: group, Default: ModeAuthority,
			Help:  "`authority`: Cardea holds the credentials and issues the tokens. `relay`: a trusted issuer does; Cardea verifies its tokens, keeps its users and enforces. Nobody signs in here then.",
			field: choiceField(func(c *Config) *string { return &c.Relay.Mode }, ModeAuthority, ModeRelay)},
		{Name: nameTrusted, Aliases: []string{"SUPABASE_URL"}, Group: group,
			Help:  "Address of an issuer whose tokens are taken besides the own ones: a Supabase project, or what its tokens have as `iss`. `SUPABASE_URL` counts in the mode relay only.",
			field: makeField("URL", func(c *Config) *string { return &one(c).URL }, parseIssuerURL, same)},
		{Name: nameTrustedName, Group: group, Default: KindSupabase, Help: "What the identities of its users are called.",
			field: matchField(func(c *Config) *string { return &one(c).Name }, issuerName, "must be lower-case letters, digits, - and _, and neither email nor phone")},
		{Name: nameTrustedKind, Group: group, Default: KindSupabase,
			Help:  "`supabase` and `cardea` are asked at /user what is proved of somebody; `oidc` says it in the token (`email_verified`, `phone_number_verified`).",
			field: choiceField(func(c *Config) *string { return &one(c).Kind }, KindSupabase, KindCardea, KindOIDC)},
		{Name: nameTrustedAud, Aliases: []string{"SUPABASE_JWT_AUDIENCE"}, Group: group, Default: "authenticated", Help: "Audiences of its tokens, comma-separated; a token needs one of them.",
			field: listField("list", func(c *Config) *[]string { return &one(c).Audiences }, func(string) error { return nil })},
		{Name: nameTrustedKey, Aliases: []string{"SUPABASE_ANON_KEY", "SUPABASE_PUBLISHABLE_KEY"}, Group: group, Secret: true, Help: "Key that its gateway wants: the publishable or anon key.",
			field: secretText(func(c *Config) *Secret { return &one(c).APIKey })},
		{Name: nameTrustedHMAC, Aliases: []string{"SUPABASE_JWT_SECRET"}, Group: group, Secret: true,
			Help:  "Shared secret (HS256) of its tokens, for projects without public keys. Whoever has it can make tokens for anybody.",
			field: secretField("secret", func(c *Config) *Secret { return &one(c).Secret }, parseJWTSecret, func(s Secret) string { return string(s) })},
		{Name: nameTrustedFile, Group: group,
			Help:  "Path of a YAML file with more trusted issuers: `issuers`, a list of `name`, `kind`, `url`, `audiences`, `apikey`, `service_key`, `secret`.",
			field: textField(func(c *Config) *string { return &c.Relay.File })},
		{Name: nameProvisioning, Group: group, Default: "required",
			Help:  "When somebody's account can't be made or found because the database or the issuer does not answer: `required` answers 503, `best_effort` lets `POST /api/auth/users/sync` and `/verify` go on without one and makes it later.",
			field: choiceField(func(c *Config) *string { return &c.Relay.Provisioning }, "required", "best_effort")},
	}
}

const issuerName = `^[a-z][a-z0-9_-]{1,39}$`

// parseIssuerURL reads the address of an issuer. It is compared with tokens as it is.
func parseIssuerURL(s string) (string, error) {
	u, err := parseHTTPURL(s)
	switch {
	case err != nil:
		return "", err
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("must have neither user nor query nor fragment")
	}
	return s, nil
}

// issuersDoc is the file of trusted issuers.
type issuersDoc struct {
	Issuers []struct {
		Name       string   `yaml:"name"`
		Kind       string   `yaml:"kind"`
		URL        string   `yaml:"url"`
		Audiences  []string `yaml:"audiences"`
		APIKey     string   `yaml:"apikey"`
		ServiceKey string   `yaml:"service_key"`
		Secret     string   `yaml:"secret"`
	} `yaml:"issuers"`
}

// parseIssuers reads the file.
func parseIssuers(doc []byte) ([]TrustedIssuer, error) {
	var file issuersDoc
	dec := yaml.NewDecoder(bytes.NewReader(doc))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		return nil, fmt.Errorf("is no list of issuers: %w", err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("has more than one document")
	}
	if len(file.Issuers) == 0 {
		return nil, errors.New("has no issuers")
	}
	var list []TrustedIssuer
	for i, f := range file.Issuers {
		t := TrustedIssuer{
			Name: f.Name, Kind: f.Kind, URL: f.URL, Audiences: f.Audiences,
			APIKey: Secret(f.APIKey), ServiceKey: Secret(f.ServiceKey), Secret: Secret(f.Secret),
		}
		if t.Kind == "" {
			t.Kind = KindSupabase
		}
		if len(t.Audiences) == 0 && t.Kind != KindOIDC {
			t.Audiences = []string{"authenticated"}
		}
		if err := t.check(); err != nil {
			return nil, fmt.Errorf("issuer %d: %w", i+1, err)
		}
		list = append(list, t)
	}
	return list, nil
}

// check judges one issuer.
func (t *TrustedIssuer) check() error {
	_, err := parseIssuerURL(t.URL)
	switch {
	case !regexp.MustCompile(issuerName).MatchString(t.Name) || t.Name == "email" || t.Name == "phone":
		return errors.New("name must be lower-case letters, digits, - and _, and neither email nor phone")
	case !slices.Contains([]string{KindSupabase, KindCardea, KindOIDC}, t.Kind):
		return errors.New("kind must be supabase, cardea or oidc")
	case t.URL == "" || err != nil:
		return errors.New("url must be an absolute http or https URL")
	case len(t.Audiences) == 0 || slices.Contains(t.Audiences, ""):
		return errors.New("audiences must name at least one: tokens for other services would pass")
	case t.Secret.Set() && len(t.Secret) < minSecret:
		return fmt.Errorf("secret is %d bytes long; HS256 needs at least %d", len(t.Secret), minSecret)
	case t.Kind == KindOIDC && (t.APIKey.Set() || t.ServiceKey.Set()):
		return errors.New("apikey and service_key are not for oidc: keys may lie with somebody else there")
	}
	return nil
}

// checkRelay makes the list of trusted issuers and judges it.
func (l *loader) checkRelay() {
	r := &l.cfg.Relay
	counts := r.One.URL != ""
	if r.Mode != ModeRelay && l.from[nameTrusted].name == "SUPABASE_URL" {
		// The variable is there for other programs: it must not open this one.
		counts = false
		l.report.Unused = append(l.report.Unused, Note{Name: "SUPABASE_URL", Text: "counts in the mode relay; name the project in " + nameTrusted + " to trust its tokens in another"})
	}
	if counts {
		if err := r.One.check(); err != nil && l.ok(nameTrusted, nameTrustedName, nameTrustedKind, nameTrustedAud, nameTrustedHMAC) {
			l.problem(l.sourceName(nameTrusted), quote(r.One.URL), err.Error(), "see the settings beside it in docs/reference/configuration.md")
		}
		if why := guessable(string(r.One.Secret)); r.One.Secret.Set() && why != "" && !l.src.Dev {
			l.problem(l.sourceName(nameTrustedHMAC), "", why+": anyone could make tokens for any user", "use the project's public keys, or its real secret")
		}
		r.Issuers = append(r.Issuers, r.One)
	}
	if r.File != "" {
		l.readIssuers(r)
	}
	names := map[string]bool{}
	for _, t := range r.Issuers {
		l.checkTransport(nameTrusted, t.URL, "whoever answers in the issuer's place makes the tokens")
		if names[t.Name] {
			l.problem(l.sourceName(nameTrustedFile), quote(t.Name), "two trusted issuers have this name", "give each a name of its own")
		}
		names[t.Name] = true
	}
	if r.Mode == ModeRelay && len(r.Issuers) == 0 && l.ok(nameMode, nameTrusted, nameTrustedFile) {
		l.problem(nameTrusted, "", "is needed in the mode relay: somebody has to vouch for people", "set it to the Supabase project or issuer, such as https://project.supabase.co")
	}
}

func (l *loader) readIssuers(r *Relay) {
	doc, err := l.src.ReadFile(r.File)
	if err != nil {
		err = errors.New("the file can't be read: " + plainReason(err))
	} else {
		var list []TrustedIssuer
		list, err = parseIssuers(doc)
		r.Issuers = append(r.Issuers, list...)
	}
	if err != nil {
		l.failed[nameTrustedFile] = true
		l.problem(r.File, "", strings.TrimSpace(err.Error()), "write `issuers:` with a list, each with name, kind, url")
	}
}

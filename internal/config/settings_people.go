package config

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	namePreset       = "CARDEA_PRESET"
	nameSurfaces     = "CARDEA_SURFACES"
	nameVerification = "CARDEA_VERIFICATION"
)

func peopleSettings() []Setting {
	const group = "People, tenants and roles"
	text := func(name, help string, at func(*Config) *string, aliases ...string) Setting {
		return Setting{Name: name, Aliases: aliases, Group: group, Help: help, field: textField(at)}
	}
	return []Setting{
		{Name: namePreset, Flag: "preset", Group: group,
			Help:  "A bundle of settings for one kind of application: `dermadetect`, `ghar360`, `medhastra`, `medmitra`, `neonpro`, or the path of a YAML file. Every setting that is given besides wins.",
			field: textField(func(c *Config) *string { return &c.Preset })},
		{Name: nameSurfaces, Group: group, Default: "supabase,rest,mirror,admin",
			Help: "What is mounted, comma-separated: `supabase` (/auth/v1), `rest` (/api/auth, /api/users, /api/tenants), `mirror` (/api/v1), `legacy`, `admin` (/admin/v1). The rest answers 404.",
			field: listField("list", func(c *Config) *[]string { return &c.Surfaces }, func(s string) error {
				if !slices.Contains(surfaces(), s) {
					return errors.New("is none of " + strings.Join(surfaces(), ", "))
				}
				return nil
			})},
		{Name: "CARDEA_ROLES", Group: group, Default: "default",
			Help:  "Catalogue of roles and permissions: the name of one that ships with Cardea, or the path of a YAML file. docs/guides/roles.md explains it.",
			field: textField(func(c *Config) *string { return &c.People.Roles })},
		{Name: "CARDEA_TENANT_CLAIM", Group: group, Default: "tenant_id", Help: "Name of the claim with the active tenant, such as `clinic_id`.",
			field: matchField(func(c *Config) *string { return &c.People.TenantClaim }, `^[a-z][a-z0-9_]{0,63}$`, "must be a name of lower-case letters, digits and _")},
		{Name: "CARDEA_SINGLE_TENANT", Group: group, Help: "Slug of the one tenant of this installation: it is made at the start, and everybody is in it.",
			field: matchField(func(c *Config) *string { return &c.People.SingleTenant }, `^([a-z0-9]([a-z0-9-]{1,61}[a-z0-9])?)?$`, "must be a slug: lower-case letters, digits and hyphens")},
		{Name: nameVerification, Group: group, Computed: "as CARDEA_EMAIL_AUTOCONFIRM and CARDEA_PHONE_AUTOCONFIRM say",
			Help:  "Of registrations at /api/auth: `none` signs in at once, `before_login` wants the address proved first.",
			field: choiceField(func(c *Config) *string { return &c.People.Verification }, "none", "before_login")},
		text("CARDEA_DEFAULT_ROLE", "Role in the application, in `app_metadata.roles`, of new accounts that nobody gave another: registrations, sign-ups, codes, invitations, operators. The claim `role` stays authenticated. Anonymous accounts get none.", func(c *Config) *string { return &c.People.DefaultRole }),
		{Name: "CARDEA_PHONE_REGION", Group: group, Help: "Country of phone numbers that are typed without a country code, such as `IN`. Without one they need a country code.",
			field: matchField(func(c *Config) *string { return &c.People.PhoneRegion }, `^([A-Z]{2})?$`, "must be two capital letters (ISO 3166-1)")},
		{Name: "CARDEA_API_TTL", Group: group, Default: "30m", Help: "Life of an access token that /api/auth gave; never longer than CARDEA_JWT_TTL.",
			field: makeField("duration", func(c *Config) *time.Duration { return &c.People.TokenTTL }, parseTokenTTL, formatDuration)},
		{Name: "CARDEA_MIN_AGE", Group: group, Default: "18", Help: "Youngest age that the birth date of a profile may tell; 0: any.",
			field: intField(func(c *Config) *int { return &c.People.MinAge }, 0, 120)},
		{Name: "CARDEA_APPS", Group: group,
			Help:  "Applications with an onboarding of their own, comma-separated, for `auth-state?app=`; the first is meant where none is named. A name may be followed by what its profile needs, such as `stays:full_name+phone`, or `stays:none`; else it is `full_name+birth_date`. There are also `image_url`, `language` and `email`.",
			field: makeField("list", func(c *Config) *[]App { return &c.People.Apps }, parseApps, formatApps)},
		text("CARDEA_CONSENTS", "What people are asked to agree to: the name of a catalogue that ships with Cardea (`neonpro`), or the path of a YAML file. Without one nothing is asked. docs/guides/consents.md explains it.",
			func(c *Config) *string { return &c.People.Consents }),
		text("CARDEA_GOOGLE_WEB_CLIENT_ID", "Told to clients by `GET /api/v1/auth/config`; Google's ID tokens for it link identities (`POST /api/v1/auth/link-identity`).", func(c *Config) *string { return &c.People.GoogleWebClientID }, "GOOGLE_WEB_CLIENT_ID"),
		text("CARDEA_GOOGLE_IOS_CLIENT_ID", "The same for iOS.", func(c *Config) *string { return &c.People.GoogleIOSClientID }, "GOOGLE_IOS_CLIENT_ID"),
		text("CARDEA_GOOGLE_ANDROID_CLIENT_ID", "The same for Android.", func(c *Config) *string { return &c.People.GoogleAndroidClientID }, "GOOGLE_ANDROID_CLIENT_ID"),
	}
}

// matchField reads text that fits a pattern.
func matchField(at func(*Config) *string, pattern, what string) field {
	re := regexp.MustCompile(pattern)
	return makeField("text", at, func(s string) (string, error) {
		if !re.MatchString(s) {
			return "", errors.New(what)
		}
		return s, nil
	}, same)
}

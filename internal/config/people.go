package config

import "time"

// Surfaces that a server can mount. What is not mounted answers 404.
const (
	SurfaceSupabase = "supabase" // /auth/v1, as Supabase Auth
	SurfaceREST     = "rest"     // /api/auth, /api/users, /api/tenants
	SurfaceMirror   = "mirror"   // /api/v1, for applications that mirror an external issuer
	SurfaceLegacy   = "legacy"   // old routes of one gateway
	SurfaceAdmin    = "admin"    // /admin/v1, for operators
)

func surfaces() []string {
	return []string{SurfaceSupabase, SurfaceREST, SurfaceMirror, SurfaceLegacy, SurfaceAdmin}
}

// App is an application with an onboarding of its own.
type App struct {
	Name   string
	Fields []string // of the profile that it needs; nil: the standard ones
}

// People says how an application sees its people.
type People struct {
	Roles        string        // name of a catalogue that ships with Cardea, or path of a YAML file
	TenantClaim  string        // name of the claim with the active tenant
	SingleTenant string        // slug of the tenant where everybody is; "" lets people choose
	Verification string        // of registrations: "", none or before_login; "" as the Autoconfirm settings say
	DefaultRole  string        // of registrations that ask for none
	PhoneRegion  string        // of numbers without a country code: ISO 3166-1 alpha-2, "" for none
	TokenTTL     time.Duration // access tokens of /api/auth
	MinAge       int           // youngest age that a birth date may tell
	Apps         []App         // that have an onboarding of their own
	Consents     string        // catalogue: a name or path, "" for none

	GoogleWebClientID, GoogleIOSClientID, GoogleAndroidClientID string
}

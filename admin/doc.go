// Package admin is the Go client of Cardea's operator API, /admin/v1: people, their roles
// and sessions, tenants and their members, relations, the role catalogue, signing keys, API
// keys, and messages that could not be delivered. The command line `cardea` is its first user.
//
//	c, err := admin.New(admin.Config{URL: "https://auth.example.com", Key: os.Getenv("CARDEA_ADMIN_KEY")})
//	...
//	u, err := c.Users.SetRoles(ctx, id, []string{"physician"}, "diploma seen")
//
// The key is a service_role token or an sb_secret_ key: it may do everything, so it belongs
// on servers only, and the server refuses it in requests of browsers.
//
// What a method that changes something gets wrong is an [*Error] with a stable code; see
// [CodeOf]. Answers 429 and 503 are tried again as [Config] says. A failed connection is
// tried again for reads only: whoever repeats a change should look first whether it was made.
//
// The package imports the standard library and nothing else. Before version 1 fields may be
// added to every struct: name the fields of those you write.
package admin

package admin_test

import (
	"context"
	"fmt"
	"os"

	"github.com/cardea-auth/cardea/admin"
)

// What the guide shows.
func Example() {
	ctx := context.Background()
	run := func() error {
		c, err := admin.New(admin.Config{URL: "https://auth.example.com", Key: os.Getenv("CARDEA_ADMIN_KEY")})
		if err != nil {
			return err
		}
		for u, err := range c.Users.All(ctx, admin.UserQuery{Role: "physician", Active: new(true)}) {
			if err != nil {
				return err
			}
			if _, err := c.Users.SetRoles(ctx, u.ID, []string{"patient"}, "licence expired"); err != nil {
				return err
			}
		}
		clinic, err := c.Tenants.Create(ctx, admin.NewTenant{Slug: "north", Name: "North Clinic"})
		if admin.CodeOf(err) == admin.CodeSlugExists {
			clinic, err = c.Tenants.Get(ctx, "north")
		}
		if err != nil {
			return err
		}
		fmt.Println(clinic.ID)
		return nil
	}
	_ = run
}

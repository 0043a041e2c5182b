package admin_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/admin"
)

// A16.2, A16.4, A16.5: deletion, holds and export by the client.
func TestPrivacy(t *testing.T) {
	t.Parallel()
	c, b, _ := connect(t)
	ctx := t.Context()
	ada, err := c.Users.Create(ctx, admin.NewUser{Email: "ada@example.test", EmailConfirm: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Users.Erasure(ctx, ada.ID)
	wants(t, "before", err, admin.CodeErasureNotFound)
	_, err = c.Users.Erase(ctx, ada.ID, "")
	wants(t, "without a reason", err, admin.CodeValidation)

	hold, err := c.Users.PlaceHold(ctx, ada.ID, "case № 42")
	if err != nil || hold.Reason != "case № 42" || hold.UserID != ada.ID || !hold.PlacedAt.Equal(b.Clock.Now()) {
		t.Fatalf("%+v, %v", hold, err)
	}
	list, err := c.Users.Holds(ctx, ada.ID)
	if err != nil || len(list) != 1 || list[0].ID != hold.ID {
		t.Errorf("%+v, %v", list, err)
	}
	_, err = c.Users.Erase(ctx, ada.ID, "asked")
	wants(t, "under a hold", err, admin.CodeLegalHold)
	wants(t, "deletion under a hold", c.Users.Delete(ctx, ada.ID, true, "asked"), admin.CodeLegalHold)
	wants(t, "another hold", c.Users.LiftHold(ctx, ada.ID, ada.ID, "over"), admin.CodeHoldNotFound)
	wants(t, "lift", c.Users.LiftHold(ctx, ada.ID, hold.ID, "over"), "")

	doc, err := c.Users.Export(ctx, ada.ID, "asked by letter")
	var out struct {
		UserID    string
		Signature string
	}
	if err != nil || json.Unmarshal(doc, &out) != nil || out.UserID != ada.ID || !strings.Contains(out.Signature, "..") {
		t.Errorf("%s, %v", doc, err)
	}
	_, err = c.Users.Export(ctx, ada.ID, "")
	wants(t, "an export without a reason", err, admin.CodeValidation)

	begun, err := c.Users.Erase(ctx, ada.ID, "asked")
	if err != nil || begun.State != admin.ErasureOpen || begun.By != "operator" || len(begun.Steps) == 0 {
		t.Fatalf("%+v, %v", begun, err)
	}
	again, err := c.Users.Erase(ctx, ada.ID, "asked again")
	if err != nil || again.ID != begun.ID || again.Reason != "asked" {
		t.Errorf("%+v, %v", again, err)
	}
	_, err = c.Users.PlaceHold(ctx, ada.ID, "too late")
	wants(t, "a hold after it has begun", err, admin.CodeErasureBegun)
	if open, err := c.Erasures.List(ctx, true, 0); err != nil || len(open) != 1 {
		t.Errorf("%+v, %v", open, err)
	}
	if _, err := c.Erasures.Retry(ctx, begun.ID, "impatience"); err != nil {
		t.Error(err)
	}
	if n, err := b.Server.EraseDue(ctx); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	done, err := c.Users.Erasure(ctx, ada.ID)
	if err != nil || done.State != admin.ErasureDone || done.FinishedAt.IsZero() || !done.NextAt.IsZero() {
		t.Errorf("%+v, %v", done, err)
	}
	if open, err := c.Erasures.List(ctx, true, 5); err != nil || len(open) != 0 {
		t.Errorf("%+v, %v", open, err)
	}
	if all, err := c.Erasures.List(ctx, false, 5); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	_, err = c.Erasures.Retry(ctx, begun.ID, "again")
	wants(t, "retry of one that is done", err, admin.CodeErasureNotFound)
	if export, erase, err := c.Erasures.Collectors(ctx); err != nil || len(export)+len(erase) != 0 {
		t.Error(export, erase, err)
	}
	_, err = c.Users.Export(ctx, ada.ID, "too late")
	wants(t, "an export of nobody", err, admin.CodeUserNotFound)
}

package flow_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/google/go-cmp/cmp"
)

// TestProfileFields is S2.40: what each field takes, and in which form it is kept.
func TestProfileFields(t *testing.T) {
	t.Parallel()
	name := func(s string) flow.ProfileChange { return flow.ProfileChange{FullName: &s} }
	born := func(s string) flow.ProfileChange { return flow.ProfileChange{BirthDate: &s} }
	image := func(s string) flow.ProfileChange { return flow.ProfileChange{ImageURL: &s} }
	lang := func(s string) flow.ProfileChange { return flow.ProfileChange{Language: &s} }
	// now is 2026-05-06.
	for _, c := range []struct {
		name string
		in   flow.ProfileChange
		want string // what is kept; "!" for a refusal
	}{
		{"name", name("Ann Lee"), "Ann Lee"},
		{"name with space around", name("  Ann \t Lee\n"), "Ann Lee"},
		{"two characters", name("Bo"), "Bo"},
		{"hundred characters", name(strings.Repeat("ü", 100)), strings.Repeat("ü", 100)},
		{"combining mark", name("Ju\u0308rgen"), "Jürgen"},
		{"joiner of Indic scripts", name("क\u094d\u200dष"), "क\u094d\u200dष"},
		{"markup", name("<b>Ann</b> <i>Lee</i>"), "Ann Lee"},
		{"script", name("<script>alert(1)</script>"), "alert(1)"},
		{"tag in a tag", name("<<script>script>alert(1)<</script>/script>"), "scriptalert(1)/script"},
		{"tag without an end", name("Ann <img src=x onerror=alert(1)"), "Ann img src=x onerror=alert(1)"},
		{"comparison", name("Ann < Lee > Bo"), "Ann Lee Bo"},
		{"empties", name(""), ""},
		{"one character", name("A"), "!"},
		{"101 characters", name(strings.Repeat("a", 101)), "!"},
		{"nothing but markup", name("<b></b>"), "!"},
		{"nothing but space", name("     "), "!"},
		{"nothing but signs", name("--"), "!"},
		{"NUL", name("Ann\x00Lee"), "!"},
		{"no text", name("Ann\xff"), "!"},
		{"control character", name("Ann\x1b[31m"), "!"},
		{"turned direction", name("Ann \u202eeeL"), "!"},
		{"isolated direction", name("Ann \u2066eeL"), "!"},
		{"a novel", name(strings.Repeat("<b>", 1<<20)), "!"},

		{"birth date", born("1990-02-28"), "1990-02-28"},
		{"18 today", born("2008-05-06"), "2008-05-06"},
		{"18 tomorrow", born("2008-05-07"), "!"},
		{"120 until tomorrow", born("1905-05-07"), "1905-05-07"},
		{"121 today", born("1905-05-06"), "!"},
		{"leap day", born("2004-02-29"), "2004-02-29"},
		{"no leap day", born("2005-02-29"), "!"},
		{"tomorrow", born("2026-05-07"), "!"},
		{"year 0", born("0000-01-01"), "!"},
		{"another form", born("06.05.1990"), "!"},
		{"with a time", born("1990-02-28T00:00:00Z"), "!"},
		{"empties the birth date", born(""), ""},

		{"image", image("https://x.org/a.png?w=1#x"), "https://x.org/a.png?w=1#x"},
		{"image by http", image("http://x.org/a.png"), "http://x.org/a.png"},
		{"relative", image("/a.png"), "!"},
		{"without a scheme", image("//x.org/a.png"), "!"},
		{"script as image", image("javascript:alert(1)"), "!"},
		{"script in capitals", image("JaVaScRiPt://x.org/%0aalert(1)"), "!"},
		{"data", image("data:image/png;base64,AAAA"), "!"},
		{"file", image("file:///etc/passwd"), "!"},
		{"no host", image("https:///a.png"), "!"},
		{"opaque", image("https:x.org"), "!"},
		{"user in front of the host", image("https://x.org@evil.org/"), "!"},
		{"quote", image(`https://x.org/"onerror="alert(1)`), "!"},
		{"markup in the image", image("https://x.org/<b>"), "!"},
		{"new line", image("https://x.org/\nSet-Cookie: a"), "!"},
		{"NUL in the image", image("https://x.org/\x00"), "!"},
		{"too long", image("https://x.org/" + strings.Repeat("a", 2048)), "!"},
		{"empties the image", image(""), ""},

		{"language", lang("en"), "en"},
		{"language and country", lang("PT-br"), "pt-BR"},
		{"underscore", lang("pt_BR"), "pt-BR"},
		{"script of a language", lang("zh-hant-TW"), "zh-Hant-TW"},
		{"no language", lang("und"), "!"},
		{"nonsense", lang("not a language"), "!"},
		{"too long a language", lang(strings.Repeat("en-", 20)), "!"},
		{"NUL in the language", lang("e\x00n"), "!"},
		{"empties the language", lang(""), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			p := &w.d.people[id(ann)].Profile
			p.FullName, p.BirthDate, p.ImageURL, p.Language = "before", "before", "before", "before"
			got, err := w.people().UpdateMe(t.Context(), me(ann), c.in)
			if c.want == "!" {
				wantCode(t, err, auth.CodeValidation)
				w.untouched(t)
				return
			}
			f := got.Profile
			kept := []string{f.FullName, f.BirthDate, f.ImageURL, f.Language}
			n := 0
			for i, changed := range []bool{c.in.FullName != nil, c.in.BirthDate != nil, c.in.ImageURL != nil, c.in.Language != nil} {
				if changed {
					n++
					if kept[i] != c.want {
						t.Errorf("kept %q, want %q", kept[i], c.want)
					}
				} else if kept[i] != "before" {
					t.Errorf("another field changed: %q", kept)
				}
			}
			if err != nil || n != 1 {
				t.Errorf("%v", err)
			}
		})
	}
}

// FuzzName: what comes out of a name holds no tag, and goes through once more unchanged.
func FuzzName(f *testing.F) {
	for _, s := range []string{"Ann", "<b>Ann</b>", "<<b>b>x", "a<b", "<!-- -->xx", "\u202ex", "a\x00b", "Ju\u0308rgen"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w := inTown(t)
		change := func(s string) (string, error) {
			got, err := w.people().UpdateMe(t.Context(), me(ann), flow.ProfileChange{FullName: &s})
			return got.Profile.FullName, err
		}
		got, err := change(s)
		if err != nil || s == "" {
			return
		}
		if n := utf8.RuneCountInString(got); n < 2 || n > 100 || strings.ContainsAny(got, "<>\x00") || !utf8.ValidString(got) {
			t.Errorf("%q becomes %q", s, got)
		}
		if again, err := change(got); err != nil || again != got {
			t.Errorf("%q becomes %q, then %q, %v", s, got, again, err)
		}
	})
}

// TestProfileObjects: null deletes, values replace, and what can't be stored is refused whole.
func TestProfileObjects(t *testing.T) {
	t.Parallel()
	many := map[string]json.RawMessage{}
	for i := range 101 {
		many[strings.Repeat("k", i%64+1)+strings.Repeat("x", i/64)] = json.RawMessage(`1`)
	}
	for _, c := range []struct {
		name string
		in   flow.ProfileChange
		want string // of preferences, flags and the physician's extension; "!" for a refusal
	}{
		{"sets and deletes", flow.ProfileChange{Preferences: members("a", `null`, "b", `{"x":[1]}`)}, `{"b":{"x":[1]}} {"done":false} {"pool":"x"}`},
		{"deletes what is not there", flow.ProfileChange{Preferences: members("z", ` null `)}, `{"a":1} {"done":false} {"pool":"x"}`},
		{"flags", flow.ProfileChange{Flags: members("done", `true`, "other", `false`)}, `{"a":1} {"done":true,"other":false} {"pool":"x"}`},
		{"deletes a flag", flow.ProfileChange{Flags: members("done", `null`)}, `{"a":1} {} {"pool":"x"}`},
		{"own extension", flow.ProfileChange{Extensions: map[string]map[string]json.RawMessage{"physician": members("vacation_mode", `true`)}}, `{"a":1} {"done":false} {"pool":"x","vacation_mode":true}`},
		{"flag that is none", flow.ProfileChange{Flags: members("done", `"yes"`)}, "!"},
		{"flag with a number", flow.ProfileChange{Flags: members("done", `1`)}, "!"},
		{"NUL", flow.ProfileChange{Privacy: members("a", `"\u0000"`)}, "!"},
		{"NUL in a name", flow.ProfileChange{Notifications: members("a\x00", `1`)}, "!"},
		{"lone surrogate", flow.ProfileChange{Preferences: members("a", `"\udfff"`)}, "!"},
		{"number without end", flow.ProfileChange{Preferences: members("a", `1e131000`)}, "!"},
		{"empty name", flow.ProfileChange{Preferences: members("", `1`)}, "!"},
		{"long name", flow.ProfileChange{Preferences: members(strings.Repeat("a", 65), `1`)}, "!"},
		{"too much", flow.ProfileChange{Preferences: members("a", `"`+strings.Repeat("x", 16<<10)+`"`)}, "!"},
		{"too many", flow.ProfileChange{Preferences: many}, "!"},
		{"too deep", flow.ProfileChange{Preferences: members("a", strings.Repeat("[", 101)+strings.Repeat("]", 101))}, "!"},
		{"unknown extension", flow.ProfileChange{Extensions: map[string]map[string]json.RawMessage{"admin": members("a", `1`)}}, "!"},
		{"one good, one bad", flow.ProfileChange{Flags: members("done", `true`), Preferences: members("a", `"\u0000"`)}, "!"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			p := &w.d.people[id(ann)].Profile
			p.Preferences, p.Flags = json.RawMessage(`{"a":1}`), json.RawMessage(`{"done":false}`)
			p.Extensions = map[string]json.RawMessage{"physician": json.RawMessage(`{"pool":"x"}`)}
			_, err := w.people().UpdateMe(t.Context(), me(ann), c.in)
			if c.want == "!" {
				wantCode(t, err, auth.CodeValidation)
				w.untouched(t)
				return
			}
			p = &w.d.people[id(ann)].Profile
			if got := string(p.Preferences) + " " + string(p.Flags) + " " + string(p.Extensions["physician"]); err != nil || got != c.want {
				t.Errorf("%s, %v, want %s", got, err, c.want)
			}
		})
	}
}

// TestOwnExtensions: a profile that services take for a proof can't be made by whoever it
// would prove something of.
func TestOwnExtensions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		actor flow.Actor
		has   bool
		in    map[string]json.RawMessage
		want  auth.Code
	}{
		{"make oneself a physician", by(ann), false, members("a", `1`), auth.CodeForbidden},
		{"make oneself an empty physician", by(ann), false, nil, auth.CodeForbidden},
		{"administrators' settings", by(ann), true, members("admin_settings", `{"a":1}`), auth.CodeForbidden},
		{"delete administrators' settings", by(ann), true, members("admin_settings", `null`), auth.CodeForbidden},
		{"another's number", by(ann), true, members("employee_id", `7`), auth.CodeForbidden},
		{"by an agent", by(agent), true, members("a", `1`), auth.CodeForbidden},
		{"by an administrator", by(boss), false, members("admin_settings", `{"a":1}`, "employee_id", `7`), ""},
		{"by an operator", anOperator(), false, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			if c.has {
				w.d.people[id(ann)].Profile.Extensions = map[string]json.RawMessage{"physician": json.RawMessage(`{}`)}
			}
			got, err := w.people().Change(t.Context(), c.actor, id(ann), flow.ProfileChange{Extensions: map[string]map[string]json.RawMessage{"physician": c.in}})
			if codeOf(err) != c.want {
				t.Fatalf("%v", err)
			}
			if c.want != "" {
				w.untouched(t)
				return
			}
			if _, ok := got.Profile.Extensions["physician"]; !ok {
				t.Errorf("%+v", got.Profile)
			}
			w.audited(t, "profile_modified", c.actor.Caller.UserID, id(ann).String())
		})
	}
}

// TestChangeRights is A12.5 and S2.22: which fields of whom.
func TestChangeRights(t *testing.T) {
	t.Parallel()
	fields := map[string]flow.ProfileChange{
		"full_name": {FullName: ptr("Ann Lee")}, "image_url": {ImageURL: ptr("https://x.org/a.png")},
		"preferences": {Preferences: members("a", `1`)}, "notifications": {Notifications: members("a", `1`)}, "privacy": {Privacy: members("a", `1`)},
		"birth_date": {BirthDate: ptr("1990-01-01")}, "language": {Language: ptr("en")}, "flags": {Flags: members("a", `true`)},
		"email": {Email: ptr("other@x.org")}, "phone": {Phone: ptr("+4930123456")},
		"extensions":         {Extensions: map[string]map[string]json.RawMessage{"staff": members("a", `1`)}},
		"full_name and more": {FullName: ptr("Ann Lee"), Email: ptr("other@x.org")},
		"nothing":            {},
	}
	five := []string{"full_name", "image_url", "preferences", "notifications", "privacy"}
	everything := append([]string{"birth_date", "language", "flags", "email", "phone", "extensions", "full_name and more", "nothing"}, five...)
	for _, c := range []struct {
		name  string
		bend  func(*town)
		actor flow.Actor
		of    byte
		may   []string
		want  auth.Code
	}{
		{"an agent, of a customer", nil, by(agent), ann, append([]string{"nothing"}, five...), auth.CodeForbidden},
		{"an agent, of another", nil, by(agent), bob, nil, auth.CodeForbidden},
		{"an agent, of nobody", nil, by(agent), 99, nil, auth.CodeForbidden},
		{"an agent whose time is over", func(w *town) { w.d.relations[0].EndsAt = at() }, by(agent), ann, nil, auth.CodeForbidden},
		{"an agent who has lost the role", func(w *town) {
			w.d.people[id(agent)].User.AppMetadata = json.RawMessage(`{"roles":["user"]}`)
		}, by(agent), ann, nil, auth.CodeForbidden},
		{"an agent who is switched off", func(w *town) { w.d.people[id(agent)].Profile.Active = false }, by(agent), ann, nil, auth.CodeUserInactive},
		{"an agent of an administrator", func(w *town) {
			w.d.people[id(ann)].User.AppMetadata = json.RawMessage(`{"roles":["admin"]}`)
		}, by(agent), ann, nil, auth.CodeForbidden},
		{"a user, of another", nil, by(bob), ann, nil, auth.CodeForbidden},
		{"an owner of a tenant, of a member", nil, by(owner), helper, nil, auth.CodeForbidden},
		{"roles that are no list", func(w *town) {
			w.d.people[id(bob)].User.AppMetadata = json.RawMessage(`{"roles":"admin"}`)
		}, by(bob), ann, nil, auth.CodeForbidden},
		{"roles in the user's own metadata", func(w *town) {
			w.d.people[id(bob)].User.UserMetadata = json.RawMessage(`{"roles":["admin"]}`)
		}, by(bob), ann, nil, auth.CodeForbidden},
		{"a clerk, of a user", nil, by(clerk), ann, everything, ""},
		{"a clerk, of an administrator", nil, by(clerk), boss, nil, auth.CodeForbidden},
		{"an administrator", nil, by(boss), clerk, everything, ""},
		{"an operator", nil, anOperator(), boss, everything, ""},
		{"an operator, of nobody", nil, anOperator(), 99, nil, auth.CodeUserNotFound},
		{"look-up of the assignment fails", func(w *town) { w.d.broken["Relations"] = errors.New("boom") }, by(agent), ann, nil, "?"},
	} {
		for field, in := range fields {
			t.Run(c.name+"/"+field, func(t *testing.T) {
				t.Parallel()
				w := inTown(t)
				if c.bend != nil {
					c.bend(w)
				}
				_, err := w.people().Change(t.Context(), c.actor, id(c.of), in)
				may := false
				for _, f := range c.may {
					may = may || f == field
				}
				if may {
					if err != nil {
						t.Error(err)
					}
					if field != "nothing" {
						w.audited(t, "profile_modified", c.actor.Caller.UserID, id(c.of).String())
					}
					return
				}
				if code := codeOf(err); err == nil || c.want != "?" && code != c.want {
					t.Errorf("%v, want %q", err, c.want)
				}
				w.untouched(t)
				if len(w.store.patches) > 0 {
					t.Errorf("written: %+v", w.store.patches)
				}
			})
		}
	}
}

// TestChangeAddress: an address that somebody else types is not proved (S2.40), and the one
// before hears of it.
func TestChangeAddress(t *testing.T) {
	t.Parallel()
	w := inTown(t)
	if _, err := w.people().Change(t.Context(), by(boss), id(ann), flow.ProfileChange{Email: ptr(" Other@X.org")}); err != nil {
		t.Fatal(err)
	}
	p := w.store.patches[0]
	if *p.Email != "other@x.org" || !p.EmailConfirmedAt.IsZero() || len(p.Messages) != 1 || p.Revoke != auth.RevokeNone {
		t.Errorf("%+v", p)
	}
	if n := w.post.notices[0]; n.Kind != flow.NoticeEmailChanged || n.To != "b@x.org" || n.NewEmail != "other@x.org" {
		t.Errorf("%+v", n)
	}
	_, err := w.people().Change(t.Context(), by(boss), id(bob), flow.ProfileChange{Email: ptr("other@x.org")})
	wantCode(t, err, auth.CodeEmailExists)
	for _, bad := range []flow.ProfileChange{{Email: ptr("")}, {Email: ptr("a b@x.org")}, {Phone: ptr("call me")}, {Phone: ptr("")}} {
		_, err := w.people().Change(t.Context(), by(boss), id(bob), bad)
		wantCode(t, err, auth.CodeValidation)
	}
	w.d.people[id(bob)].User.IsSSO = true
	_, err = w.people().Change(t.Context(), by(boss), id(bob), flow.ProfileChange{Email: ptr("bob@x.org")})
	wantCode(t, err, auth.CodeSSOManaged)
}

// TestOwnAddress is A1.4 and A1.5: a new address waits; one that is somebody's is told of, or
// nothing happens and the owner hears of it.
func TestOwnAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		explicit bool
		in       flow.ProfileChange
		want     auth.Code
		waits    string
		notice   string // to whom
	}{
		{"free e-mail", false, flow.ProfileChange{Email: ptr("New@x.org")}, "", "new@x.org", ""},
		{"free number", false, flow.ProfileChange{Phone: ptr("+49 302")}, "", "49302", ""},
		{"one's own e-mail", false, flow.ProfileChange{Email: ptr("B@x.org")}, "", "", ""},
		{"taken e-mail, explicit", true, flow.ProfileChange{Email: ptr("c@X.org")}, auth.CodeEmailExists, "", ""},
		{"taken e-mail, neutral", false, flow.ProfileChange{Email: ptr("c@X.org")}, "", "c@x.org", "c@x.org"},
		{"taken number, explicit", true, flow.ProfileChange{Phone: ptr("49301")}, auth.CodePhoneExists, "", ""},
		{"taken number, neutral", false, flow.ProfileChange{Phone: ptr("+49 301")}, "", "49301", "c@x.org"},
		{"no number", false, flow.ProfileChange{Phone: ptr("0301")}, auth.CodeValidation, "", ""},
		{"both at once", false, flow.ProfileChange{Phone: ptr("49302"), Email: ptr("new@x.org")}, auth.CodeValidation, "", ""},
		{"a bad field beside", false, flow.ProfileChange{Email: ptr("new@x.org"), FullName: ptr("x")}, auth.CodeValidation, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			w.config.ExplicitAnswers = c.explicit
			w.d.people[id(bob)].User.Phone = "49301"
			issued := w.issues()
			got, err := w.people().UpdateMe(t.Context(), me(ann), c.in)
			if codeOf(err) != c.want {
				t.Fatalf("%v", err)
			}
			if u := w.d.people[id(ann)].User; u.Email != "b@x.org" || u.Phone != "" || u.EmailConfirmedAt.IsZero() {
				t.Errorf("changed before the proof: %+v", u)
			}
			if c.want == "" && got.User.ID != id(ann) {
				t.Errorf("%+v", got)
			}
			waits := ""
			for _, i := range *issued {
				if i.EmailChange != nil {
					waits = *i.EmailChange
				} else {
					waits = *i.PhoneChange
				}
			}
			notice := ""
			for _, n := range w.post.notices {
				if n.Kind == flow.NoticeAccountExists {
					notice = n.To
				}
			}
			if waits != c.waits || notice != c.notice {
				t.Errorf("waits %q, notice to %q", waits, notice)
			}
		})
	}
	t.Run("by SetPhone, as the region writes it", func(t *testing.T) {
		t.Parallel()
		w := inTown(t)
		w.config.Phones = canonical{}
		issued := w.issues()
		if _, err := w.people().SetPhone(t.Context(), me(ann), "98765-43210"); err != nil || *(*issued)[0].PhoneChange != "919876543210" {
			t.Errorf("%v, %+v", err, *issued)
		}
	})
}

// TestSetLastMethod is S2.27 and S2.35.
func TestSetLastMethod(t *testing.T) {
	t.Parallel()
	for _, m := range auth.LastMethods() {
		w := inTown(t)
		if err := w.people().SetLastMethod(t.Context(), me(ann), m); err != nil || w.d.people[id(ann)].Profile.LastMethod != m {
			t.Errorf("%s: %v", m, err)
		}
	}
	for _, m := range []string{"", "fax", "Google", "google\x00", "google,apple"} {
		w := inTown(t)
		wantCode(t, w.people().SetLastMethod(t.Context(), me(ann), m), auth.CodeValidation)
		if w.d.people[id(ann)].Profile.LastMethod != "" {
			t.Errorf("%q is kept", m)
		}
	}
}

// TestMe: everybody may look at his own account, also when it is switched off, and then not
// change it (X35, S2.17).
func TestMe(t *testing.T) {
	t.Parallel()
	w := inTown(t)
	w.d.people[id(ann)].Profile.Active = false
	got, err := w.people().Me(t.Context(), me(ann))
	if diff := cmp.Diff(*w.d.people[id(ann)], got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	_, err = w.people().UpdateMe(t.Context(), me(ann), flow.ProfileChange{FullName: ptr("Ann Lee")})
	wantCode(t, err, auth.CodeUserInactive)
	wantCode(t, w.people().SetLastMethod(t.Context(), me(ann), "google"), auth.CodeUserInactive)
	_, err = w.people().Get(t.Context(), by(ann), id(ann))
	wantCode(t, err, auth.CodeUserInactive)
	w.d.people[id(ann)].User.BannedUntil = at().Add(time.Hour)
	_, err = w.people().Me(t.Context(), me(ann))
	wantCode(t, err, auth.CodeTokenUserBanned)
	third := me(bob)
	third.FirstParty = false
	_, err = w.people().UpdateMe(t.Context(), third, flow.ProfileChange{FullName: ptr("Bob Lee")})
	wantCode(t, err, auth.CodeNotFirstParty)
}

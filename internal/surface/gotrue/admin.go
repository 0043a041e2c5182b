package gotrue

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/web"
)

// Bounds of a page.
const (
	defaultPerPage = 50
	maxPerPage     = 1000
	maxPage        = 1 << 31
)

// maxBan keeps a ban inside what every database can store.
const maxBan = 200 * 365 * 24 * time.Hour

// adminList is GET /admin/users.
func (s *surface) adminList(w http.ResponseWriter, r *http.Request) error {
	if err := s.admin(r); err != nil {
		return err
	}
	q, err := userQuery(r)
	if err != nil {
		return err
	}
	page, err := s.c.Admin.List(r.Context(), q)
	if err != nil {
		return err
	}
	users := make([]userView, len(page.Users))
	for i := range page.Users {
		users[i] = viewUser(&page.Users[i])
	}
	w.Header().Set("X-Total-Count", strconv.FormatInt(page.Total, 10))
	w.Header().Set("Link", links(r, q, page.Total))
	aud := q.Aud
	if aud == "" {
		aud = auth.RoleAuthenticated
	}
	return web.WriteJSON(w, http.StatusOK, struct {
		Users []userView `json:"users"`
		Aud   string     `json:"aud"`
	}{users, aud})
}

// userQuery reads page, per_page, sort and filter. Empty ones mean the default: the client
// always sends page and per_page.
func userQuery(r *http.Request) (auth.UserQuery, error) {
	v := r.URL.Query()
	q := auth.UserQuery{Aud: audience(r), Filter: v.Get("filter"), SortBy: "created_at", Desc: true, Page: 1, PerPage: defaultPerPage}
	for _, p := range []struct {
		name string
		dst  *int
		max  int
	}{{"page", &q.Page, maxPage}, {"per_page", &q.PerPage, maxPerPage}} {
		text := v.Get(p.name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPage {
			return q, auth.E(auth.CodeValidation, fmt.Sprintf("Bad Pagination Parameters: %s must be a number from 1", p.name))
		}
		*p.dst = min(n, p.max)
	}
	if sort := v.Get("sort"); sort != "" {
		field, dir, _ := strings.Cut(strings.TrimSpace(sort), " ")
		switch field {
		case "created_at", "updated_at", "last_sign_in_at", "email":
		default:
			return q, auth.E(auth.CodeValidation, "bad field for sort '"+printable(field)+"'")
		}
		switch strings.ToLower(dir) {
		case "asc":
			q.Desc = false
		case "", "desc":
		default:
			return q, auth.E(auth.CodeValidation, "bad direction for sort '"+printable(dir)+"', only 'asc' and 'desc' allowed")
		}
		q.SortBy = field
	}
	return q, nil
}

// links is the Link header (RFC 8288). The client's parser reads the character after the
// first "=", so page comes first.
func links(r *http.Request, q auth.UserQuery, total int64) string {
	last := (total + int64(q.PerPage) - 1) / int64(q.PerPage)
	rest := url.Values{"per_page": {strconv.Itoa(q.PerPage)}}
	for _, name := range []string{"filter", "sort"} {
		if v := r.URL.Query().Get(name); v != "" {
			rest.Set(name, v)
		}
	}
	link := func(page int64, rel string) string {
		return fmt.Sprintf(`<%s?page=%d&%s>; rel="%s"`, "/admin/users", page, rest.Encode(), rel)
	}
	if int64(q.Page) < last {
		return link(int64(q.Page)+1, "next") + ", " + link(last, "last")
	}
	return link(last, "last")
}

// adminCreate is POST /admin/users.
func (s *surface) adminCreate(w http.ResponseWriter, r *http.Request) error {
	if err := s.admin(r); err != nil {
		return err
	}
	body, err := web.ReadObject(r)
	if err != nil {
		return err
	}
	f := body.Fields()
	in := flow.NewUser{
		Audience: f.String("aud"), Role: f.String("role"), Email: f.String("email"), Phone: f.String("phone"),
		Password: f.String("password"), PasswordHash: f.String("password_hash"), EmailConfirm: f.Bool("email_confirm"),
		PhoneConfirm: f.Bool("phone_confirm"), UserMetadata: f.Object("user_metadata"), AppMetadata: f.Object("app_metadata"),
	}
	id, ban := f.String("id"), f.OptString("ban_duration")
	if err := f.Err(); err != nil {
		return err
	}
	if id != "" {
		if in.ID, err = auth.ParseID(id); err != nil || in.ID.IsZero() {
			return auth.E(auth.CodeValidation, "ID must conform to the uuid v4 format")
		}
	}
	if d, err := banDuration(ban); err != nil {
		return err
	} else if d != nil {
		in.BanFor = *d
	}
	u, err := s.c.Admin.Create(r.Context(), in, web.Meta(r))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, viewUser(&u))
}

// banDuration reads "none" or a Go duration; nil when it was not given.
func banDuration(s *string) (*time.Duration, error) {
	if s == nil || *s == "" {
		return nil, nil //nolint:nilnil // "not given" is an answer
	}
	if *s == "none" {
		var lift time.Duration
		return &lift, nil
	}
	d, err := time.ParseDuration(*s)
	if err != nil || d <= 0 || d > maxBan {
		return nil, auth.E(auth.CodeValidation, `invalid format for ban duration: use "none" or a duration such as "24h"`)
	}
	return &d, nil
}

// pathID reads the {id} of the path.
func pathID(r *http.Request) (auth.ID, error) {
	id, err := auth.ParseID(r.PathValue("id"))
	if err != nil {
		return auth.ID{}, auth.E(auth.CodeBadID, "")
	}
	return id, nil
}

// adminGet is GET /admin/users/{id}.
func (s *surface) adminGet(w http.ResponseWriter, r *http.Request) error {
	u, err := s.adminUser(r)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, viewUser(&u))
}

// adminFactors is GET /admin/users/{id}/factors: an array, or null when there is none.
func (s *surface) adminFactors(w http.ResponseWriter, r *http.Request) error {
	u, err := s.adminUser(r)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, viewFactors(u.Factors))
}

func (s *surface) adminUser(r *http.Request) (auth.User, error) {
	if err := s.admin(r); err != nil {
		return auth.User{}, err
	}
	id, err := pathID(r)
	if err != nil {
		return auth.User{}, err
	}
	return s.c.Admin.Get(r.Context(), id)
}

// adminUpdate is PUT /admin/users/{id}.
func (s *surface) adminUpdate(w http.ResponseWriter, r *http.Request) error {
	if err := s.admin(r); err != nil {
		return err
	}
	id, err := pathID(r)
	if err != nil {
		return err
	}
	body, err := web.ReadObject(r)
	if err != nil {
		return err
	}
	f := body.Fields()
	in := flow.UserChange{
		Audience: nonEmpty(f.OptString("aud")), Role: nonEmpty(f.OptString("role")), Email: nonEmpty(f.OptString("email")),
		Phone: nonEmpty(f.OptString("phone")), Password: nonEmpty(f.OptString("password")),
		PasswordHash: nonEmpty(f.OptString("password_hash")), EmailConfirm: f.OptBool("email_confirm"),
		PhoneConfirm: f.OptBool("phone_confirm"), UserMetadata: f.Object("user_metadata"), AppMetadata: f.Object("app_metadata"),
	}
	ban := f.OptString("ban_duration")
	if err := f.Err(); err != nil {
		return err
	}
	if in.BanFor, err = banDuration(ban); err != nil {
		return err
	}
	u, err := s.c.Admin.Update(r.Context(), id, in, web.Meta(r))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, viewUser(&u))
}

// adminDelete is DELETE /admin/users/{id}.
func (s *surface) adminDelete(w http.ResponseWriter, r *http.Request) error {
	if err := s.admin(r); err != nil {
		return err
	}
	id, err := pathID(r)
	if err != nil {
		return err
	}
	body, err := web.ReadOptionalObject(r)
	if err != nil {
		return err
	}
	f := body.Fields()
	soft := f.Bool("should_soft_delete")
	if err := f.Err(); err != nil {
		return err
	}
	if err := s.c.Admin.Delete(r.Context(), id, soft, web.Meta(r)); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, struct{}{})
}

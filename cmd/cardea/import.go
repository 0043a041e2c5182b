package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/moving"
	"github.com/cardea-auth/cardea/internal/server"
)

type importCmd struct {
	Cardea   importCardeaCmd   `cmd:"" help:"Accounts that 'cardea export users' has written."`
	CSV      importCSVCmd      `cmd:"" name:"csv" help:"Accounts from columns that the first line names."`
	Supabase importSupabaseCmd `cmd:"" help:"Accounts of Supabase Auth (GoTrue), from its database or a dump of it."`
	Firebase importFirebaseCmd `cmd:"" help:"Accounts of Firebase, from 'firebase auth:export'."`
	Auth0    importAuth0Cmd    `cmd:"" name:"auth0" help:"Accounts of Auth0, from its export and its file of password hashes."`
	Keycloak importKeycloakCmd `cmd:"" help:"Accounts of a Keycloak realm."`
	Groups   importGroupsCmd   `cmd:"" help:"Physicians of a legacy table, without their passwords: each gets a link to set one."`
	Links    importLinksCmd    `cmd:"" help:"Open an encrypted file of links into a file that only you can read."`
}

// importFlags are what every import has.
type importFlags struct {
	commonFlags
	File    string `help:"What to read." placeholder:"FILE" type:"path"`
	Name    string `help:"Name of this import, for --resume. Without it: the system and the file." placeholder:"NAME"`
	Source  string `help:"Name of the other system, when there are several of a kind. Accounts are remembered under it." placeholder:"NAME"`
	DryRun  bool   `help:"Check everything, against the database too, and store nothing."`
	OnError string `help:"stop at the first account that can't come in, or skip it. A dry run skips." enum:"stop,skip" default:"stop" placeholder:"stop|skip"`
	Report  string `help:"File for what could not come in and why: a JSON object on each line, readable by you only." placeholder:"FILE" type:"path"`
	Batch   int    `help:"Accounts that are stored at a time, 1 to 10000." default:"1000" placeholder:"N"`
	Resume  bool   `help:"Go on where an earlier run of the same import came to."`
	Confirm bool   `help:"Take every address as proved, where the other system has seen to it."`
	Output  string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`

	DropBadHashes  bool     `help:"Let accounts in without their password when it can't be verified here."`
	DropUnknown    bool     `help:"Leave out roles and memberships that do not exist here."`
	DropIdentities bool     `help:"Leave out accounts at other providers (Google and the like)."`
	AllowRole      []string `help:"Role that may do everything, and that accounts may bring with them all the same." placeholder:"ROLE,..."`
	Invite         bool     `help:"Mail everybody who comes in without a password a link to set one."`

	Links    string `help:"Write the links into this encrypted file instead of mailing them." placeholder:"FILE" type:"path"`
	LinksKey string `help:"File with the key of --links; made when it does not exist." placeholder:"FILE" type:"path"`
}

// job is one import.
type job struct {
	flags *importFlags
	kind  string // of the other system
	seeks bool
	from  string // what is read, when it is no file
	files []string
	// open gives the records.
	open func(a *app, m *server.Mover, at auth.MoveProgress) (moving.Reader, io.Closer, error)
	// links: accounts get links whether or not --invite is given.
	links bool
	roles []string // that are given by the command line
}

// partly is the end of an import that has left accounts out.
type partly struct{ n int64 }

func (p partly) Error() string {
	what := "accounts"
	if p.n == 1 {
		what = "account"
	}
	return fmt.Sprintf("%d %s could not come in; --report FILE tells which, and why", p.n, what)
}

func (c *importFlags) check() error {
	switch {
	case c.Batch < 1 || c.Batch > 10000:
		return usageError{"--batch must be from 1 to 10000"}
	case (c.Links == "") != (c.LinksKey == ""):
		return usageError{"--links and --links-key belong together"}
	case c.DryRun && c.Resume:
		return usageError{"a dry run has nothing to resume"}
	}
	for flag, text := range map[string]string{"--name": c.Name, "--source": c.Source} {
		if len(text) > 200 || !auth.CleanText(text) {
			return usageError{flag + " is too long, or can't be stored"}
		}
	}
	return nil
}

// run does the import and prints counts, and nothing that belongs to a person.
func (j *job) run(a *app) error {
	c := j.flags
	if err := c.check(); err != nil {
		return err
	}
	if r, err := a.remote(); err != nil || r.url != "" {
		if err == nil {
			err = usageError{"an import works on the database itself: unset " + adminURL}
		}
		return err
	}
	digest, err := j.digest()
	if err != nil {
		return err
	}
	srv, _, err := a.open(c.flags())
	if err != nil {
		return err
	}
	return errors.Join(j.into(a, srv, digest), srv.Close())
}

func (j *job) into(a *app, srv *server.Server, digest string) error {
	c := j.flags
	source := j.kind
	if c.Source != "" {
		source = c.Source
	}
	m := srv.Mover(source)
	m.DryRun, m.Roles = c.DryRun, append(c.AllowRole, j.roles...)
	rules := m.Rules()
	rules.ConfirmAll, rules.DropBadHashes, rules.DropUnknown = c.Confirm, c.DropBadHashes, c.DropUnknown
	rules.InviteAll, rules.DropIdentities = c.Invite, c.DropIdentities
	if (c.Invite || j.links) && c.Links == "" && !m.CanMail() {
		return errors.New("this server can't send mail, so nobody would get a link: configure mail, or write the links into a file (--links, --links-key)")
	}
	links, err := c.openLinks(m)
	if err != nil {
		return err
	}
	report, err := c.openReport()
	if err != nil {
		return errors.Join(err, links.close())
	}
	name := c.Name
	if name == "" {
		name = source + ":" + j.what()
	}
	bar := a.progress("imported")
	var reader io.Closer
	totals, err := moving.Import(a.ctx, moving.Config{
		Store: m.Store(), Rules: rules, Name: name, Source: source, Digest: digest, Batch: c.Batch, DryRun: c.DryRun,
		Resume: c.Resume, Seeks: j.seeks, Stop: c.OnError == "stop" && !c.DryRun, Ready: links.sync, Audit: m.Audit,
		Problem: func(p moving.Problem) error { return a.tellProblem(c, report, &p) },
		Told:    func(t moving.Totals) { bar.tell(t.Read, t.Moved) },
	}, func(at auth.MoveProgress) (moving.Reader, error) {
		if c.Resume && at.Position > 0 {
			a.say("Going on after %d records.", at.Position)
		}
		r, closer, err := j.open(a, m, at)
		reader = closer
		return r, err
	})
	bar.done()
	if reader != nil {
		err = errors.Join(err, reader.Close())
	}
	if err = errors.Join(err, links.close(), report.Close()); err != nil && !errors.Is(err, moving.ErrStopped) {
		a.say("%s; what came in before is stored, and --resume goes on from there.", counted(&totals))
		return err
	}
	return errors.Join(j.total(a, m, &totals), ending(err, &totals))
}

// ending gives the error that says how the import ended.
func ending(err error, t *moving.Totals) error {
	switch left := t.Taken + t.Refused; {
	case errors.Is(err, moving.ErrStopped):
		return errors.New("stopped at the first account that could not come in: mend it, or leave it out with --on-error=skip")
	case left > 0:
		return partly{left}
	}
	return nil
}

// what names what is read.
func (j *job) what() string {
	if len(j.files) > 0 {
		return filepath.Base(j.files[0])
	}
	return j.from
}

// digest tells one file from another of the same name.
func (j *job) digest() (string, error) {
	if len(j.files) == 0 {
		return j.from, nil
	}
	sum := sha256.New()
	for _, name := range j.files {
		f, err := os.Open(name) //nolint:gosec // G304: the operator's own path
		if err != nil {
			return "", usageError{err.Error()}
		}
		_, err = io.Copy(sum, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return "", fmt.Errorf("read %s: %w", name, err)
		}
		_, _ = sum.Write([]byte{0})
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// tellProblem writes to the report, and a line for people.
func (a *app) tellProblem(c *importFlags, report *reportFile, p *moving.Problem) error {
	if err := report.write(p); err != nil || p.Code.Expected() {
		return err
	}
	report.count++
	if told := report.count; c.OnError == "stop" || told <= maxTold {
		a.say("line %d: %s (%s)", p.Line, p.Reason, p.Code)
	} else if told == maxTold+1 {
		a.say("There are more; --report FILE has them all.")
	}
	return nil
}

// maxTold is how many problems are shown on the terminal.
const maxTold = 20

// reportFile is a JSON object for each problem.
type reportFile struct {
	file  *os.File
	count int
}

func (r *reportFile) write(p *moving.Problem) error {
	if r.file == nil {
		return nil
	}
	return json.NewEncoder(r.file).Encode(p)
}

// Close closes the file.
func (r *reportFile) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// openReport makes the file of a new import, and goes on with that of a resumed one.
func (c *importFlags) openReport() (*reportFile, error) {
	if c.Report == "" {
		return &reportFile{}, nil
	}
	f, err := privateFile(c.Report, c.Resume)
	return &reportFile{file: f}, err
}

// privateFile makes a file that only its owner can read. An existing one is gone on with when
// that is asked for, and refused otherwise: it may be somebody's, or a link to somewhere.
func privateFile(name string, goOn bool) (*os.File, error) {
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if goOn {
		flags = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	f, err := os.OpenFile(name, flags, 0o600) //nolint:gosec // G304: the operator's own path
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s exists already: name another file, or remove it", name)
	}
	if err != nil {
		return nil, err
	}
	if runtime.GOOS == "windows" {
		return f, nil // modes say nothing there; the folder's access list holds
	}
	if info, err := f.Stat(); err != nil || info.Mode().Perm()&0o077 != 0 && info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s can be read by others: change its mode to 0600", name), err, f.Close())
	}
	return f, nil
}

// totalsView is what -o json prints.
type totalsView struct {
	DryRun  bool  `json:"dry_run"`
	Read    int64 `json:"read"`
	Skipped int64 `json:"resumed_after"`
	Moved   int64 `json:"imported"`
	Present int64 `json:"present"`
	Taken   int64 `json:"taken"`
	Refused int64 `json:"refused"`
	Left    int64 `json:"left"`
	Links   int64 `json:"links"`

	TenantsMade  int `json:"tenants_made"`
	TenantsFound int `json:"tenants_present"`

	DroppedPasswords int `json:"dropped_passwords"`
	DroppedFactors   int `json:"second_factors_left_behind"`
	DroppedRoles     int `json:"dropped_roles"`
	DroppedMembers   int `json:"dropped_memberships"`
	DroppedProfile   int `json:"dropped_profile_fields"`
}

// total prints counts only.
func (j *job) total(a *app, m *server.Mover, t *moving.Totals) error {
	v := totalsView{
		DryRun: j.flags.DryRun, Read: t.Read, Skipped: t.Skipped, Moved: t.Moved, Present: t.Present, Taken: t.Taken, Refused: t.Refused, Left: t.Left,
		Links: t.Invited, DroppedPasswords: t.Dropped.Hash, DroppedFactors: t.Dropped.Factors, DroppedRoles: t.Dropped.Roles,
		DroppedMembers: t.Dropped.Members, DroppedProfile: t.Dropped.Profile,
	}
	v.TenantsMade, v.TenantsFound = m.Tenants()
	if j.flags.Output == "json" {
		return writeJSON(a.stdout, v)
	}
	lines := []string{counted(t)}
	if v.TenantsMade+v.TenantsFound > 0 {
		lines = append(lines, fmt.Sprintf("tenants: %d new, %d were there", v.TenantsMade, v.TenantsFound))
	}
	for _, n := range []struct {
		count int64
		what  string
	}{
		{v.Left, "deleted there, anonymous, or no person"}, {v.Links, "links to set a password"},
		{int64(v.DroppedPasswords), "passwords left out, which nobody could verify"},
		{int64(v.DroppedFactors), "second factors that stay behind, their owners have to set up new ones"}, {int64(v.DroppedRoles), "roles left out"},
		{int64(v.DroppedMembers), "memberships left out"}, {int64(v.DroppedProfile), "fields of profiles left out, which can't be shown"},
	} {
		if n.count > 0 {
			lines = append(lines, fmt.Sprintf("%s: %d", n.what, n.count))
		}
	}
	if v.DryRun {
		lines = append(lines, "nothing was stored: this was a dry run")
	}
	_, err := fmt.Fprintln(a.stdout, strings.Join(lines, "\n"))
	return err
}

func counted(t *moving.Totals) string {
	return fmt.Sprintf("%d read: %d imported, %d imported before, %d in the way of others, %d refused",
		t.Read, t.Moved, t.Present, t.Taken, t.Refused)
}

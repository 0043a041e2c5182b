package flow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/ratelimit"
)

// ExportStore is what an export needs of a database.
type ExportStore interface {
	PersonalData(ctx context.Context, user auth.ID) ([]auth.ExportedTable, error)
	WriteAudit(ctx context.Context, entries ...auth.AuditEntry) error
}

// Applications tell what they know of people beside us.
type Applications interface {
	// Names lists those of a phase: "export" or "erase".
	Names(phase string) []string
	// Export gives what one of them knows, a JSON object.
	Export(ctx context.Context, name string, id, user auth.ID, at time.Time) (json.RawMessage, error)
}

// ExportFormat names the form of an export.
const ExportFormat = "cardea-export/1"

// export is the document. Its last member, signature, is written behind it.
type export struct {
	Format       string                      `json:"format"`
	ID           auth.ID                     `json:"exportId"`
	Issuer       string                      `json:"issuer"`
	UserID       auth.ID                     `json:"userId"`
	Date         time.Time                   `json:"exportDate"`
	Data         map[string][]map[string]any `json:"data"`
	Applications map[string]json.RawMessage  `json:"applications"`
}

// exportsPerUser bounds what one person can make the database and the applications read.
func exportsPerUser() ratelimit.Limit { return ratelimit.Limit{Count: 10, Period: time.Hour} }

// ExportMe gives everything that is known of the caller; see [Privacy.Export]. Like a
// deletion it needs fresh authentication.
func (p *Privacy) ExportMe(ctx context.Context, who auth.Caller, nonce string) (json.RawMessage, error) {
	u, err := p.fresh(ctx, who, nonce)
	if err != nil {
		return nil, err
	}
	if err := p.c.take("export/user", u.ID.String(), exportsPerUser()); err != nil {
		return nil, err
	}
	entry, err := p.c.auditUser("user_data_exported", "user", who.IP, &u)
	if err != nil {
		return nil, err
	}
	entry.Traits = map[string]any{"user_id": u.ID.String()}
	return p.export(ctx, u.ID, entry)
}

// Export gives everything that is known of somebody, as a signed JSON document: for operators,
// who say why.
//
// The document is whole or there is none: a table that can't be read, or an application that
// does not answer, is an error that names it, and nothing is handed out that might be taken
// for everything. It holds no password, no hash of one, no token and no secret. That it was
// made is in the audit log before it is handed out.
func (p *Privacy) Export(ctx context.Context, a Actor, user auth.ID) (json.RawMessage, error) {
	reason, err := operatorsReason(a)
	if err != nil {
		return nil, err
	}
	entry, err := p.c.audit("user_data_exported", "team", a.Caller.IP)
	if err != nil {
		return nil, err
	}
	entry.ActorID, entry.ActorUsername = a.Caller.UserID, auth.RoleServiceRole
	meta := a.Caller.Meta
	meta.Reason = strings.TrimSpace(reason)
	entry.Traits = operatorTraits(meta, map[string]any{"user_id": user.String()})
	return p.export(ctx, user, entry)
}

func (p *Privacy) export(ctx context.Context, user auth.ID, entry auth.AuditEntry) (json.RawMessage, error) {
	id, err := auth.NewID(entry.At, p.c.Rand)
	if err != nil {
		return nil, err
	}
	entry.Traits["export_id"] = id.String()
	doc := export{
		Format: ExportFormat, ID: id, Issuer: p.p.Issuer, UserID: user, Date: entry.At.UTC(), Data: map[string][]map[string]any{},
		Applications: map[string]json.RawMessage{},
	}
	tables, err := p.p.Exports.PersonalData(ctx, user)
	if errors.Is(err, auth.ErrNotFound) {
		return nil, auth.E(auth.CodeUserNotFound, "")
	}
	if err != nil {
		what := "the database could not be read"
		var t *auth.TableError
		if errors.As(err, &t) {
			what = "the table " + t.Table + " could not be read"
		}
		return nil, &auth.Error{Code: auth.CodeExportFailed, Message: "The export was not made: " + what, Cause: err}
	}
	for _, t := range tables {
		doc.Data[t.Name] = append([]map[string]any{}, t.Rows...)
	}
	if p.p.Applications != nil {
		for _, name := range p.p.Applications.Names("export") {
			data, err := p.p.Applications.Export(ctx, name, id, user, entry.At)
			if err != nil {
				return nil, &auth.Error{Code: auth.CodeExportFailed, Message: "The export was not made: the application " + name + " did not answer properly", Cause: err}
			}
			doc.Applications[name] = data
		}
	}
	out, err := p.seal(&doc)
	if err != nil {
		return nil, err
	}
	if err := p.p.Exports.WriteAudit(ctx, entry); err != nil {
		return nil, fmt.Errorf("flow: write audit: %w", err)
	}
	return out, nil
}

// seal signs the document and puts the signature behind its last member. What is signed is the
// document without it and without blanks, so that whoever takes the member away and writes the
// rest as compactly as JSON can be written has it again.
func (p *Privacy) seal(doc *export) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil {
		return nil, fmt.Errorf("flow: write export: %w", err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, b.Bytes()); err != nil { // what applications have answered has blanks
		return nil, fmt.Errorf("flow: write export: %w", err)
	}
	text := compact.Bytes()
	signature, err := p.p.Sign(text)
	if err != nil {
		return nil, fmt.Errorf("flow: sign export: %w", err)
	}
	out := append([]byte{}, text[:len(text)-1]...)
	return append(out, `,"signature":"`+signature+`"}`...), nil
}

// OpenExport gives the document that is signed, and its signature, of an export as it was
// handed out or written with other blanks. Only the form is looked at.
func OpenExport(file []byte) (document []byte, signature string, err error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, file); err != nil {
		return nil, "", errors.New("the file is no JSON")
	}
	var head struct {
		Format string `json:"format"`
	}
	if json.Unmarshal(file, &head) != nil || head.Format != ExportFormat {
		return nil, "", errors.New("the file is no export of the form " + ExportFormat)
	}
	text := compact.Bytes()
	const member = `,"signature":"`
	at := bytes.LastIndex(text, []byte(member))
	if at < 0 || !bytes.HasSuffix(text, []byte(`"}`)) {
		return nil, "", errors.New("the file does not end with a signature")
	}
	signature = string(text[at+len(member) : len(text)-2])
	if strings.ContainsAny(signature, `"\{}`) {
		return nil, "", errors.New("the file does not end with a signature")
	}
	return append(append([]byte{}, text[:at]...), '}'), signature, nil
}

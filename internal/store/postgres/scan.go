package postgres

import (
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cardea-auth/cardea/internal/auth"
)

// userColumns are read in this order by scanUser. NULL is met everywhere, as rows that
// were inserted by hand or by another program have them.
const userColumns = `u.id, u.aud, u.role, u.email, u.phone, u.encrypted_password,
	u.email_confirmed_at, u.phone_confirmed_at, u.invited_at, u.confirmation_sent_at, u.recovery_sent_at,
	u.email_change, u.email_change_sent_at, u.phone_change, u.phone_change_sent_at, u.reauthentication_sent_at,
	u.last_sign_in_at, u.raw_app_meta_data, u.raw_user_meta_data, u.is_sso_user, u.is_anonymous,
	u.banned_until, u.created_at, u.updated_at`

// userChildren are read by scanUser after userColumns. An array of records arrives in
// binary form, which costs both sides a fraction of what JSON would.
const userChildren = `
	ARRAY(SELECT ROW(i.id, i.user_id, i.provider, i.provider_id, i.identity_data, i.email,
			i.last_sign_in_at, i.created_at, i.updated_at)
		FROM auth.identities i WHERE i.user_id = u.id ORDER BY i.created_at, i.id),
	ARRAY(SELECT ROW(f.id, f.user_id, f.friendly_name, f.factor_type::text, f.status::text, f.phone,
			f.last_challenged_at, f.created_at, f.updated_at)
		FROM auth.mfa_factors f WHERE f.user_id = u.id ORDER BY f.created_at, f.id)`

// scanUser reads userColumns, userChildren and then the extra columns.
func scanUser(row pgx.Row, u *auth.User, extra ...any) error {
	identities := records[auth.Identity]{&u.Identities, func(i *auth.Identity) pgtype.CompositeIndexScanner {
		return (*identityRecord)(i)
	}}
	factors := records[auth.Factor]{&u.Factors, func(f *auth.Factor) pgtype.CompositeIndexScanner {
		return (*factorRecord)(f)
	}}
	targets := append(userTargets(u), &identities, &factors)
	if err := row.Scan(append(targets, extra...)...); err != nil {
		return err
	}
	finishUser(u)
	return nil
}

// userTargets gives where userColumns go; finishUser has to be called afterwards.
func userTargets(u *auth.User) []any {
	return append(make([]any, 0, 48),
		(*[16]byte)(&u.ID), (*text)(&u.Aud), (*text)(&u.Role), (*text)(&u.Email), (*text)(&u.Phone), (*text)(&u.PasswordHash),
		(*moment)(&u.EmailConfirmedAt), (*moment)(&u.PhoneConfirmedAt), (*moment)(&u.InvitedAt),
		(*moment)(&u.ConfirmationSentAt), (*moment)(&u.RecoverySentAt),
		(*text)(&u.EmailChange), (*moment)(&u.EmailChangeSentAt), (*text)(&u.PhoneChange), (*moment)(&u.PhoneChangeSentAt),
		(*moment)(&u.ReauthenticationSentAt), (*moment)(&u.LastSignInAt),
		(*[]byte)(&u.AppMetadata), (*[]byte)(&u.UserMetadata), &u.IsSSO, &u.IsAnonymous,
		(*moment)(&u.BannedUntil), (*moment)(&u.CreatedAt), (*moment)(&u.UpdatedAt),
	)
}

func finishUser(u *auth.User) {
	if u.Role == "" { // a token without a role is refused by the database's API
		u.Role = auth.RoleAuthenticated
	}
	u.AppMetadata, u.UserMetadata = document(u.AppMetadata), document(u.UserMetadata)
}

// text reads a column where NULL means the same as "".
type text string

// ScanText implements pgtype.TextScanner.
func (t *text) ScanText(v pgtype.Text) error {
	*t = text(v.String)
	return nil
}

// reference reads a uuid column where NULL is the zero id.
type reference auth.ID

// ScanUUID implements pgtype.UUIDScanner.
func (r *reference) ScanUUID(v pgtype.UUID) error {
	*r = reference{}
	if v.Valid {
		*r = v.Bytes
	}
	return nil
}

// tenantRoleOf reads the role in a session's tenant, which has been read before; NULL
// takes the tenant away too, as there is nothing to do in it.
type tenantRoleOf struct {
	tenant *auth.ID
	role   *string
}

// ScanText implements pgtype.TextScanner.
func (t *tenantRoleOf) ScanText(v pgtype.Text) error {
	*t.role = v.String
	if !v.Valid {
		*t.tenant = auth.ID{}
	}
	return nil
}

// moment reads timestamptz, and timestamp as UTC. NULL is the zero time.
type moment time.Time

// endOfTime stands for 'infinity', which somebody may have written by hand to ban an
// account for good: reading it as "not set" would lift the ban.
func endOfTime() time.Time { return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }

func (m *moment) set(t time.Time, infinity pgtype.InfinityModifier, valid bool) {
	switch {
	case !valid || infinity == pgtype.NegativeInfinity:
		*m = moment{}
	case infinity == pgtype.Infinity:
		*m = moment(endOfTime())
	default:
		*m = moment(t.UTC())
	}
}

// ScanTimestamptz implements pgtype.TimestamptzScanner.
func (m *moment) ScanTimestamptz(v pgtype.Timestamptz) error {
	m.set(v.Time, v.InfinityModifier, v.Valid)
	return nil
}

// ScanTimestamp implements pgtype.TimestampScanner.
func (m *moment) ScanTimestamp(v pgtype.Timestamp) error {
	m.set(v.Time, v.InfinityModifier, v.Valid)
	return nil
}

// records reads an array of records into a slice; row gives the scanner of one element.
type records[T any] struct {
	to  *[]T
	row func(*T) pgtype.CompositeIndexScanner
}

// SetDimensions implements pgtype.ArraySetter.
func (r *records[T]) SetDimensions(dimensions []pgtype.ArrayDimension) error {
	*r.to = nil
	if len(dimensions) > 0 && dimensions[0].Length > 0 {
		*r.to = make([]T, dimensions[0].Length)
	}
	return nil
}

// ScanIndex implements pgtype.ArraySetter.
func (r *records[T]) ScanIndex(i int) any { return r.row(&(*r.to)[i]) }

// ScanIndexType implements pgtype.ArraySetter.
func (r *records[T]) ScanIndexType() any { return r.row(new(T)) }

var errNullRecord = errors.New("record is NULL")

// identityRecord reads the ROW of an identity in userChildren.
type identityRecord auth.Identity

// ScanNull implements pgtype.CompositeIndexScanner.
func (*identityRecord) ScanNull() error { return errNullRecord }

// ScanIndex implements pgtype.CompositeIndexScanner.
func (r *identityRecord) ScanIndex(i int) any {
	switch i {
	case 0:
		return (*[16]byte)(&r.ID)
	case 1:
		return (*[16]byte)(&r.UserID)
	case 2:
		return (*text)(&r.Provider)
	case 3:
		return (*text)(&r.ProviderID)
	case 4:
		return (*[]byte)(&r.Data)
	case 5:
		return (*text)(&r.Email)
	case 6:
		return (*moment)(&r.LastSignInAt)
	case 7:
		return (*moment)(&r.CreatedAt)
	default:
		return (*moment)(&r.UpdatedAt)
	}
}

// factorRecord reads the ROW of a factor in userChildren.
type factorRecord auth.Factor

// ScanNull implements pgtype.CompositeIndexScanner.
func (*factorRecord) ScanNull() error { return errNullRecord }

// ScanIndex implements pgtype.CompositeIndexScanner.
func (r *factorRecord) ScanIndex(i int) any {
	switch i {
	case 0:
		return (*[16]byte)(&r.ID)
	case 1:
		return (*[16]byte)(&r.UserID)
	case 2:
		return (*text)(&r.FriendlyName)
	case 3:
		return (*text)(&r.Type)
	case 4:
		return (*text)(&r.Status)
	case 5:
		return (*text)(&r.Phone)
	case 6:
		return (*moment)(&r.LastChallengedAt)
	case 7:
		return (*moment)(&r.CreatedAt)
	default:
		return (*moment)(&r.UpdatedAt)
	}
}

// amrRecord reads the ROW of an authentication method.
type amrRecord auth.AMR

// ScanNull implements pgtype.CompositeIndexScanner.
func (*amrRecord) ScanNull() error { return errNullRecord }

// ScanIndex implements pgtype.CompositeIndexScanner.
func (r *amrRecord) ScanIndex(i int) any {
	if i == 0 {
		return (*text)(&r.Method)
	}
	return (*moment)(&r.At)
}

func amrRecords(to *[]auth.AMR) *records[auth.AMR] {
	return &records[auth.AMR]{to, func(a *auth.AMR) pgtype.CompositeIndexScanner { return (*amrRecord)(a) }}
}

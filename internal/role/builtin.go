package role

// Permission is one permission with a word on it.
type Permission struct {
	Name        string
	Description string
}

// Permissions that routes of ours ask for. Every catalogue knows them without naming them;
// a role has them only where it says so, or through "*".
const (
	TenantCreate   = "tenant:create"
	TenantRead     = "tenant:read"
	TenantUpdate   = "tenant:update"
	MemberRead     = "member:read"
	MemberInvite   = "member:invite"
	MemberUpdate   = "member:update"
	MemberRemove   = "member:remove"
	RelationRead   = "relation:read"
	RelationWrite  = "relation:write"
	UserRead       = "user:read"
	UserUpdate     = "user:update"
	RoleAssign     = "role:assign"
	CustomerRead   = "customer:read"
	CustomerUpdate = "customer:update"
)

// Builtin lists the permissions that every catalogue knows.
func Builtin() []Permission {
	return []Permission{
		{TenantCreate, "Make tenants, as a role of the application"},
		{TenantRead, "See the tenant and its settings"},
		{TenantUpdate, "Change the tenant's name, slug and settings"},
		{MemberRead, "See who is a member"},
		{MemberInvite, "Invite members"},
		{MemberUpdate, "Change members' roles and states"},
		{MemberRemove, "Remove members"},
		{RelationRead, "See who cares for whom"},
		{RelationWrite, "Begin and end relations"},
		{UserRead, "See everybody's account"},
		{UserUpdate, "Change everybody's account"},
		{RoleAssign, "Give and take roles of the application"},
		{CustomerRead, "See the accounts of those whose agent one is"},
		{CustomerUpdate, "Change name, picture, preferences and settings of those whose agent one is"},
	}
}

// powers are those of the permissions above with which somebody could give themselves or
// others more: a role that anybody may take must not have them.
func powers() []string {
	return []string{TenantUpdate, MemberInvite, MemberUpdate, MemberRemove, RelationWrite, UserRead, UserUpdate, RoleAssign}
}

// reserved are the database roles of Supabase's tokens. An application's role of that name
// would be taken for one of them wherever a preset puts application roles into the claim
// "role": "service_role" there opens everything.
func reserved() []string {
	return []string{"anon", "authenticated", "service_role", "supabase_admin", "supabase_auth_admin", "postgres"}
}

package postgres

import "github.com/cardea-auth/cardea/internal/auth"

// ListStatements gives what the planner has to do well, with the types of the parameters.
func ListStatements() map[string]string {
	return map[string]string{
		"members": membersOf, "tenants": listTenants, "memberships": membershipsOf, "membership": membershipIn, "person": personByID,
		"user with session": userWithSession, "refresh": rotateRefresh, "sign-in": startSession, "switch": switchTenant,
		"sessions": sessionsOf, "relations of a subject": relationsOf("subject_id"), "relations of an object": relationsOf("object_id"),
		"relations of a tenant": relationsOf("tenant_id"), "add relation": addRelation, "end relation": endRelation,
		"user by e-mail": userByEmail, "user by phone": userByPhone, "user by id": userByID, "lock": lockUser, "update": updateUser,
		"find by link": findByLink, "find by code": findByCode, "end one session": endOne, "end sessions": endMany,
		"change membership": changeMembership, "end membership": endMembership, "deletion": lockOwner,
		"consents": consentsOf, "history of consents": consentHistory, "grant": grantConsent, "withdraw": withdrawConsent,
		"notice": takeNotice,
	}
}

// PeopleStatement gives the statement of a list of people.
func PeopleStatement(q auth.PersonQuery) string {
	var p peopleQuery
	return p.build(q)
}

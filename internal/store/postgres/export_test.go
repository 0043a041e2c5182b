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
		"change membership": changeMembership, "end membership": endMembership, "deletion": lockOwner, "identifiers": identifiersOf,
		"erasable": erasable, "erase user": eraseUser, "bury": bury, "bury the living": buryLiving, "audit page": auditPage,
		"rewrite audit": rewriteAudit, "end memberships": endMemberships, "end relations": endRelations, "holdable": holdable,
		"holds": holdsOf, "claim erasures": claimErasures, "tombstoned": tombstoned,
		"erase relations": `DELETE FROM auth.relations WHERE subject_id = $1 OR object_id = $1`,
		"erase devices":   `DELETE FROM auth.known_devices WHERE user_id = $1`, "erase flows": `DELETE FROM auth.flow_state WHERE user_id = $1`,
		"consents": consentsOf, "history of consents": consentHistory, "forget consents": anonymiseConsents, "grant": grantConsent, "withdraw": withdrawConsent,
		"notice": takeNotice,
	}
}

// PeopleStatement gives the statement of a list of people.
func PeopleStatement(q auth.PersonQuery) string {
	var p peopleQuery
	return p.build(q)
}

// OpensSomething gives the tables that a deletion empties at once.
func OpensSomething() []string { return opensSomething() }

// Package role answers what roles may do. Roles and permissions are data: a catalogue is a
// YAML file, so that a clinic, a marketplace and a hospital differ by a file and not by code.
//
//	permissions:                     # every permission there is, with a word on it
//	  patient:read: See patients
//	  patient:write: Change patients
//	roles:
//	  nurse:
//	    scope: tenant                # app (default), tenant, or both
//	    permissions: [patient:read]
//	  doctor:
//	    scope: tenant
//	    inherits: [nurse]
//	    permissions: ["patient:*"]
//
// Beside those two a role may have: description, level (0 to 1000), owner (true for the one
// role that a tenant must never run out of), self_assignable (anybody may take it when they
// register) and approval (anybody may ask for it; somebody has to agree).
//
// Permissions only add up. There is no "all but": a role that inherits, or is given one more
// permission, never loses any. What is not written is denied: a role that the catalogue does
// not know gives nothing (an old token, another application's roles), and a permission that
// it does not know is had by nobody, not even by "*", so that a misspelt guard locks
// instead of opening.
//
// A catalogue does not change once it is loaded; [Live] puts a new one in its place.
// Whether a role counts (of the application, of the active tenant, of a membership that is
// still open) is for the caller to know: this package only adds up what it is given.
package role

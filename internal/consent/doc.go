// Package consent knows what people can be asked to agree to. Purposes are data: a catalogue
// is a YAML file, so that a new purpose, or a new text, is no new code.
//
//	version: "2026-03"               # of the texts; a purpose may have one of its own
//	purposes:
//	  data_processing:
//	    title: Processing of health data
//	    text: https://clinic.example/privacy   # what is agreed to, or where it stands
//	    required: true               # the application can't be used without it
//	    expires: 365d                # then it has to be given again; without it, never
//	  record_sharing:
//	    title: Records are shown to the clinic
//	    scope: tenant                # given to each tenant by itself; else app
//	    version: "2"
//	    accepts: ["1"]               # consent to this older text still holds
//
// A consent holds when it was given to the present text, or to one that the purpose still
// accepts, is not withdrawn, and has not expired. A purpose that the catalogue does not have
// is agreed to by nobody.
package consent

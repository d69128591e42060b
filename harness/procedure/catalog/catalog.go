// Package catalog is the one list of procedures.
package catalog

import (
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/procedure/apply"
	"github.com/seatrial/seatrial/harness/procedure/certificates"
	"github.com/seatrial/seatrial/harness/procedure/cordon"
	"github.com/seatrial/seatrial/harness/procedure/drain"
	"github.com/seatrial/seatrial/harness/procedure/fault"
	"github.com/seatrial/seatrial/harness/procedure/power"
	"github.com/seatrial/seatrial/harness/procedure/remove"
	"github.com/seatrial/seatrial/harness/procedure/restore"
	"github.com/seatrial/seatrial/harness/procedure/scale"
	"github.com/seatrial/seatrial/harness/procedure/upgrade"
	"github.com/seatrial/seatrial/harness/procedure/wait"
)

// Procedures lists every procedure, in the order of the step kinds' documentation.
var Procedures = []procedure.Procedure{
	apply.Apply{},
	wait.Wait{},
	cordon.Mark{Unschedulable: true},
	drain.Drain{Cordon: cordon.Set},
	cordon.Mark{},
	scale.Scale{},
	remove.Delete{},
	upgrade.Cluster{Drain: drain.Ops},
	upgrade.Node{},
	restore.Backup{},
	restore.Damage{},
	restore.Verify{},
	restore.Lose{},
	restore.Restore{},
	certificates.Check{},
	certificates.Renew{},
	certificates.Rotate{},
	certificates.Expire{},
	power.Off{},
	power.On{},
}

// Performer returns who performs the ops of a procedure, or nil.
func Performer(name string) procedure.Performer {
	if name == plan.FaultProcedure {
		return fault.Fault{}
	}
	if p := Find(name); p != nil {
		return p
	}
	return nil
}

// Find returns the procedure of a kind, or nil.
func Find(kind string) procedure.Procedure {
	for _, p := range Procedures {
		if p.Kind() == kind {
			return p
		}
	}
	return nil
}

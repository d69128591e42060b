package seatrial.certs.admin_conf_works_test

import data.seatrial.certs.admin_conf_works as policy

world(asked, refusal) := {"certificates": {"certificate/cp-1/etc/kubernetes/admin.conf": {"place": "kubeconfig", "component": "", "path": "/etc/kubernetes/admin.conf", "part": "", "problem": "", "asked": asked, "refusal": refusal}}}

test_works if {
	policy.subjects == {"certificate/cp-1/etc/kubernetes/admin.conf"} with data.world as world(true, "")
	policy.deny == set() with data.world as world(true, "")
	policy.unknown == set() with data.world as world(true, "")
}

test_refused if {
	{finding.msg | some finding in policy.deny with data.world as world(true, "Unauthorized")} == {"the API does not take it: Unauthorized"}
}

test_not_asked if {
	{doubt.msg | some doubt in policy.unknown with data.world as world(false, "")} == {"the API was not asked with it"}
}

test_kubelet if {
	pem := {"certificates": {"a": {"place": "disk", "component": "", "path": "/var/lib/kubelet/pki/kubelet-client-current.pem", "part": "", "problem": "", "asked": true, "refusal": "Unauthorized"}}}
	count(policy.deny) == 1 with data.world as pem
}

# A kubeconfig that names a file with its certificate.
test_certificate_in_a_file if {
	world := {"certificates": {"a": {"place": "disk", "component": "", "path": "/etc/kubernetes/pki/mine.crt", "part": "", "problem": "", "asked": true, "refusal": "Unauthorized"}}}
	{finding.subject | some finding in policy.deny with data.world as world} == {"a"}
}

# METADATA
# title: The folder of static pods' manifests holds one file for each pod, and nothing else
# description: >-
#   A kubelet runs every file in the folder, whatever its name ends with; it leaves out only those that begin with a dot. A copy
#   that somebody made of a manifest is the same pod a second time: when the kubelet starts again, the old version may
#   come back. The folders are looked at before an upgrade and after each control plane.
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/
# - ref: https://github.com/kubernetes/kubernetes/issues/129364
# custom:
#   severity: error
#   scope: moment
#   on: [manifests]
#   needs: [upgrade, upgradeNode]
#   remedy: >-
#     Keep copies outside /etc/kubernetes/manifests; kubeadm puts its own below /etc/kubernetes/tmp.
package seatrial.upgrade.manifests_folder_clean

subjects contains subject(folder) if some folder in data.world.manifests

deny contains {"subject": subject(folder), "msg": msg} if {
	some folder in data.world.manifests
	some pod in {file.pod | some file in folder.files; file.pod != ""}
	names := sort([file.file | some file in folder.files; file.pod == pod])
	count(names) > 1
	msg := sprintf("has %s in its manifests folder, all of them the pod %s", [concat(" and ", names), pod])
}

deny contains {"subject": subject(folder), "msg": msg} if {
	some folder in data.world.manifests
	some file in folder.files
	file.pod == ""
	msg := sprintf("has %s in its manifests folder, which is no pod", [file.file])
}

subject(folder) := sprintf("node/%s", [folder.node])

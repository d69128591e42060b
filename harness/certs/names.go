package certs

import (
	"path"
	"strings"

	"github.com/seatrial/seatrial/harness/scenario"
)

// authorityFiles are where the authorities are, by the names that kubeadm certs check-expiration has for them.
var authorityFiles = map[string]string{"ca": kubernetesCA, "etcd-ca": etcdCA, "front-proxy-ca": frontProxyCA}

// FileOf is where kubeadm has what it knows by a name, of certificates that it renews and of authorities.
//
// https://kubernetes.io/docs/setup/best-practices/certificates/#certificate-paths
func FileOf(name string) string {
	if file, ok := authorityFiles[name]; ok {
		return file
	}
	switch name {
	case "etcd-server", "etcd-peer", "etcd-healthcheck-client":
		return pkiDir + "etcd/" + strings.TrimPrefix(name, "etcd-") + ".crt"
	}
	if path.Ext(name) == ".conf" {
		return kubeadmDir + name
	}
	return pkiDir + name + ".crt"
}

// NameOf is the name by which kubeadm renews what is in a file, or "".
func NameOf(file string) string {
	for _, name := range renewed() {
		if FileOf(name) == file {
			return name
		}
	}
	return ""
}

// OfKubelet tells whether a file has the certificate by which a kubelet is known to the API. It renews that itself, or nobody does.
func OfKubelet(file string) bool {
	return file == kubeletConf || file == kubeletPKI+"kubelet-client"+kubeletCurrent
}

// renewed are the names of what kubeadm renews, without the one for all of them.
func renewed() []string { return scenario.CertificateNames[1:] }

// superAdmin is on the first control plane only, and people are told to remove it.
const superAdmin = "super-admin.conf"

// expected are the files that kubeadm puts on every control plane, and that nothing there works without for long.
func expected() []string {
	files := []string{kubernetesCA, etcdCA, frontProxyCA, accountsKey}
	for _, name := range renewed() {
		if name != superAdmin {
			files = append(files, FileOf(name))
		}
	}
	return files
}

// Shared are the files that all control planes have the same: the authorities and the key that signs the tokens of service accounts, each with its private part. A
// cluster that is made anew needs them beside its etcd's data, or nobody who was known is known any more.
//
// https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/high-availability/#manual-certs
func Shared() []string {
	return []string{
		kubernetesCA, keyFile(kubernetesCA), etcdCA, keyFile(etcdCA), frontProxyCA, keyFile(frontProxyCA), accountsKey, pkiDir + "sa.key",
	}
}

// keyFile is where the private key of what is in a file is.
func keyFile(cert string) string { return strings.TrimSuffix(cert, ".crt") + ".key" }

package embedded

import (
	"fmt"
	"path/filepath"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/seatrial/seatrial/sim/pki"
)

// Groups that kubeadm's certificates name.
const (
	// adminsGroup is made an administrator by a ClusterRoleBinding, as any group could be.
	adminsGroup = "kubeadm:cluster-admins"
	// mastersGroup may do everything, whatever RBAC and priority levels say.
	mastersGroup = "system:masters"
)

// user is a client of the API and the kubeconfig that kubeadm writes for it.
type user struct {
	file, name, group string
	// balanced says that it asks through the balancer. The others ask the API server on their own node.
	balanced bool
}

var (
	superAdmin = user{file: "super-admin.conf", name: "kubernetes-super-admin", group: mastersGroup, balanced: true}
	users      = []user{
		superAdmin,
		{file: "admin.conf", name: "kubernetes-admin", group: adminsGroup, balanced: true},
		{file: "controller-manager.conf", name: "system:kube-controller-manager"},
		{file: "scheduler.conf", name: "system:kube-scheduler"},
	}
)

// certificate makes a client certificate for the user.
func (u user) certificate(i issuer) (pki.Pair, error) {
	s := pki.Subject{CommonName: u.name, Usages: pki.ClientUsage}
	if u.group != "" {
		s.Organizations = []string{u.group}
	}
	return i.issue(kubernetesCA, s)
}

// writeKubeconfigs writes those of a node's kubeconfig files that are wanted.
func (i issuer) writeKubeconfigs(dir, balanced, local string, wanted func(file string) bool) error {
	for _, u := range users {
		if !wanted(u.file) {
			continue
		}
		pair, err := u.certificate(i)
		if err != nil {
			return err
		}
		server := local
		if u.balanced {
			server = balanced
		}
		config := kubeconfig(u.name, server, i.authorities[kubernetesCA].Cert, pair)
		if err := clientcmd.WriteToFile(*config, filepath.Join(dir, u.file)); err != nil {
			return fmt.Errorf("write %s: %w", u.file, err)
		}
	}
	return nil
}

func kubeconfig(user, server string, ca []byte, pair pki.Pair) *clientcmdapi.Config {
	config := clientcmdapi.NewConfig()
	context := user + "@" + clusterName
	config.Clusters[clusterName] = &clientcmdapi.Cluster{Server: "https://" + server, CertificateAuthorityData: ca}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: pair.Cert, ClientKeyData: pair.Key}
	config.Contexts[context] = &clientcmdapi.Context{Cluster: clusterName, AuthInfo: user}
	config.CurrentContext = context
	return config
}

// writeRedacted writes a kubeconfig that says where the API was, and lets nobody in.
func writeRedacted(path, server string, ca []byte) error {
	config := kubeconfig("kubernetes-admin", server, ca, pki.Pair{})
	config.AuthInfos["kubernetes-admin"] = &clientcmdapi.AuthInfo{Username: "redacted"}
	return clientcmd.WriteToFile(*config, path)
}

// restConfig is a client configuration without rate limits, because a rehearsal must not measure those of its own client.
func restConfig(server string) *rest.Config {
	return &rest.Config{
		Host: "https://" + server,
		ContentConfig: rest.ContentConfig{
			AcceptContentTypes: runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON,
			ContentType:        runtime.ContentTypeProtobuf,
		},
		QPS:       -1,
		UserAgent: "seatrial",
	}
}

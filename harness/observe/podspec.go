package observe

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// podSpecs finds the pod specs in an object that is watched.
func podSpecs(object any) []*corev1.PodSpec {
	if pod, ok := object.(*corev1.Pod); ok {
		return []*corev1.PodSpec{&pod.Spec}
	}
	var specs []*corev1.PodSpec
	for _, template := range templates(object) {
		specs = append(specs, &template.Spec)
	}
	return specs
}

// templates finds the pod templates in an object that is watched.
func templates(object any) []*corev1.PodTemplateSpec {
	switch o := object.(type) {
	case *appsv1.Deployment:
		return []*corev1.PodTemplateSpec{&o.Spec.Template}
	case *appsv1.StatefulSet:
		return []*corev1.PodTemplateSpec{&o.Spec.Template}
	case *appsv1.DaemonSet:
		return []*corev1.PodTemplateSpec{&o.Spec.Template}
	case *appsv1.ReplicaSet:
		return []*corev1.PodTemplateSpec{&o.Spec.Template}
	case *batchv1.Job:
		return []*corev1.PodTemplateSpec{&o.Spec.Template}
	case *corev1.ReplicationController:
		if o.Spec.Template != nil {
			return []*corev1.PodTemplateSpec{o.Spec.Template}
		}
	}
	return nil
}

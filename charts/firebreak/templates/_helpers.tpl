{{/*
Names are fixed, not made from the release's name: the definitions and the admission policies are the cluster's, so a cluster has one
Firebreak. A second release is refused by Helm itself.
*/}}

{{- define "firebreak.selector" -}}
app.kubernetes.io/name: firebreak
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "firebreak.labels" -}}
{{ include "firebreak.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{- end }}

{{/* The operator as the API server knows it. */}}
{{- define "firebreak.user" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ .Values.serviceAccount.name }}
{{- end }}

{{/* Whether the operator asks, in CEL. Names of namespaces and ServiceAccounts hold no quotes. */}}
{{- define "firebreak.isOperator" -}}
request.userInfo.username == '{{ include "firebreak.user" . }}'
{{- end }}

{{/*
Whether the operator or the control plane asks, in CEL: the native controllers, the garbage collector and the deletion of a namespace are
never stood in the way of.
*/}}
{{- define "firebreak.isSystem" -}}
({{ include "firebreak.isOperator" . }} || request.userInfo.username.startsWith('system:serviceaccount:kube-system:') || request.userInfo.username in ['system:kube-controller-manager', 'system:apiserver'])
{{- end }}

{{/* Whether the requester may bypass, in CEL: include "firebreak.mayBypass" (list . "<expression of the Guard's name>"). */}}
{{- define "firebreak.mayBypass" -}}
{{- $root := index . 0 -}}
({{ with $root.Values.admission.neverBypass }}!(request.userInfo.username in {{ toJson . }}) && {{ end }}authorizer.group('firebreak.dev').resource('guards').namespace(request.namespace).name({{ index . 1 }}).check('bypass').allowed())
{{- end }}

{{/* Not empty where the policies of a kind are to be installed: include "firebreak.admission" (list . "MutatingAdmissionPolicy"). */}}
{{- define "firebreak.admission" -}}
{{- $root := index . 0 -}}
{{- $enabled := toString $root.Values.admission.enabled -}}
{{- if eq $enabled "true" -}}
yes
{{- else if eq $enabled "auto" -}}
{{- if $root.Capabilities.APIVersions.Has (printf "admissionregistration.k8s.io/v1/%s" (index . 1)) -}}
yes
{{- end -}}
{{- end -}}
{{- end }}

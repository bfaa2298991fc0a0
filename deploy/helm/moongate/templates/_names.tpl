{{/* What selects the pods of this release. */}}
{{- define "moongate.selector" -}}
app.kubernetes.io/name: moongate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* What everything of this release carries. */}}
{{- define "moongate.labels" -}}
{{ include "moongate.selector" . }}
app.kubernetes.io/part-of: moongate
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{% from 'map.jinja' import web with context %}
{% for name, v in web.vhosts.items() %}
{{ v.docroot }}:
  file.directory:
    - makedirs: true
vhost_{{ name }}:
  file.managed:
    - name: {{ web.conf }}/{{ name }}.conf
    - contents: |
        root {{ v.docroot }};
        listen {{ web.port }}{{ ' ssl' if v.ssl }};
    - require:
      - file: {{ v.docroot }}
      - file: {{ web.conf }}
    - watch_in: []
{% endfor %}

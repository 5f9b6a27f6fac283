groups:
  admins: {gid: 4101}
  staffers: {gid: 4102}
users:
  ann:
    uid: 4201
    fullname: Ann Other
    groups: [admins, staffers]
    shell: /bin/bash
    key: AAAAC3NzaC1lZDI1NTE5AAAAIKqP3HkZgR3x9jPC2Vq2nV0WQ7sQ0yGQm3i0a2xqJc0x
  bob:
    uid: 4202
    fullname: Bob
    groups: [staffers]
    shell: /bin/sh
    key: AAAAC3NzaC1lZDI1NTE5AAAAIOq4gFhQ3xY5m1b2c3d4e5f6g7h8i9j0kAlBmCnDoEpF

"""Creates the database of the club: the group "orders", and users who are in it or are not."""

import os
import sys

import django
from django.core.management import call_command


def create(*names: str) -> None:
    """Create the tables, and users who are members and may publish."""
    from django.contrib.auth.models import Group, Permission, User

    call_command("migrate", verbosity=0)
    orders = Group.objects.create(name="orders")
    publish = Permission.objects.get(codename="change_group")
    for name in names:
        user = User.objects.create(username=name)
        user.groups.add(orders)
        user.user_permissions.add(publish)
    User.objects.create(username="stranger")


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.live.host.club"
    django.setup()
    create(*sys.argv[1:])

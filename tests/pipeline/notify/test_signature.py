import base64

import pytest
import standardwebhooks
from webhook_receiver import SECRET

from pipeline.notify import signature
from pipeline.settings import NOTIFY_SECRET
from trainer.errors import UserError


def test_the_example_of_the_specification_gets_its_signature():
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature.signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", [SECRET, SECRET.removeprefix("whsec_"), f" {SECRET}\n"])
def test_a_key_is_the_one_of_the_reference_implementation(secret):
    assert signature.signing_key(secret) == standardwebhooks.Webhook(SECRET)._whsecret


@pytest.mark.parametrize("secret", ["hunter2", "whsec_", "whsec_c2hvcnQ=", "sécret", f"whsec_{'A' * 88}"])
def test_an_invalid_secret_is_refused_and_not_shown(secret):
    with pytest.raises(UserError) as error:
        signature.signing_key(secret)
    failure = error.value.failure
    assert str(failure) == (
        f"{NOTIFY_SECRET} is not whsec_ and the base64 of 24 to 64 bytes. "
        'Make one with echo "whsec_$(openssl rand -base64 32)"'
    )
    assert failure.value is None
    assert secret == "whsec_" or secret not in failure.to_json()
